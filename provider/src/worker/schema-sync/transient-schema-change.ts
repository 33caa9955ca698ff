import type { Client } from "pg";
import type { Relation } from "../../cdc/model/change.js";
import { qualify } from "../../postgres/identifiers.js";

/** A table of the source that has, or had, a shape for a while only. */
export interface TransientSchemaChange {
  /** What it is called now, qualified and quoted; undefined when it is gone. */
  readonly present: string | undefined;
}

/**
 * Whether the stream describes a table as it is not any more: altered or renamed twice before anybody looked, or within one
 * transaction. No target can be brought to that shape; the table as it is now can be copied.
 *
 * @returns undefined when the source's table still has all of this, which the target can be given
 */
export async function transientSchemaChange(
  source: Client,
  { oid, schema, name, columns }: Relation,
): Promise<TransientSchemaChange | undefined> {
  const { rows } = await source.query<{ schema: string; name: string; fits: boolean }>(
    `SELECT n.nspname AS schema, c.relname AS name,
            NOT EXISTS (SELECT FROM unnest($2::text[], $3::oid[], $4::int[]) AS told (name, type, modifier)
                         WHERE NOT EXISTS (SELECT FROM pg_attribute a
                                            WHERE a.attrelid = c.oid AND a.attname = told.name AND NOT a.attisdropped AND a.atttypid = told.type
                                              AND coalesce(told.modifier, a.atttypmod) = a.atttypmod)) AS fits
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1`,
    [
      oid,
      columns.map((column) => column.name),
      columns.map(({ typeOid }) => typeOid),
      columns.map(({ typeModifier }) => typeModifier ?? null),
    ],
  );
  const now = rows[0];
  if (!now) return { present: undefined };
  const isNamedSo = now.schema === schema && now.name === name;
  return isNamedSo && now.fits ? undefined : { present: qualify(now.schema, now.name) };
}
