import type { Client } from "pg";
import type { Relation } from "../../cdc/model/change.js";
import { qualify } from "../../postgres/identifiers.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import type { SchemaBaseline } from "../schema-diff/schema-baseline.js";
import { readTypeDrift, tablesByType, type TypeMarks } from "../schema-diff/type-drift.js";

/** A table of the source whose definition in the stream was replaced. */
export interface TransientSchemaChange {
  /** The table's present name, qualified and quoted; undefined if it was dropped. */
  readonly present: string | undefined;
}

/**
 * Whether the stream describes a table with a definition that it no longer has. This happens if it was altered or renamed twice
 * before the worker compared the schemas, or within one transaction. The target cannot be given that definition, so the table
 * has to be copied.
 *
 * @returns undefined if the source's table still has this definition
 */
export async function transientSchemaChange(
  source: Client,
  { oid, schema, name, columns }: Relation,
): Promise<TransientSchemaChange | undefined> {
  const { rows } = await source.query<{ schema: string; name: string; fits: boolean }>(
    `SELECT n.nspname AS schema, c.relname AS name,
            NOT EXISTS (SELECT FROM unnest($2::text[], $3::oid[], $4::int[]) AS described (name, type, modifier)
                         WHERE NOT EXISTS (SELECT FROM pg_attribute a
                                            WHERE a.attrelid = c.oid AND a.attname = described.name AND NOT a.attisdropped AND a.atttypid = described.type
                                              AND coalesce(described.modifier, a.atttypmod) = a.atttypmod)) AS fits
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

/**
 * Whether the stream describes rows without the key that the table has now: with REPLICA IDENTITY FULL, or without a replica
 * identity. Several rows could then have one key. The target, which has the key, refuses them.
 *
 * @returns undefined if the source's table is still described so
 */
export async function transientIdentity(
  source: Client,
  { oid, replicaIdentity, columns }: Relation,
): Promise<TransientSchemaChange | undefined> {
  const isFull = replicaIdentity === "f";
  if (!isFull && columns.some(({ key }) => key)) return undefined;
  const { rows } = await source.query<{ schema: string; name: string; keyed: boolean }>(
    `SELECT n.nspname AS schema, c.relname AS name,
            c.relreplident <> 'f' AND EXISTS (
              SELECT FROM pg_index x
               WHERE x.indrelid = c.oid AND CASE c.relreplident WHEN 'd' THEN x.indisprimary ELSE x.indisreplident END) AS keyed
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1`,
    [oid],
  );
  const now = rows[0];
  if (!now) return { present: undefined };
  return now.keyed ? { present: qualify(now.schema, now.name) } : undefined;
}

export interface RefusedValue {
  readonly source: Client;
  readonly target: Client;
  /** The table of the value. */
  readonly relation: Relation;
  /** Why the target refused the value. */
  readonly cause: unknown;
  /** The source's types when they were last applied to the target; undefined if they were not recorded. */
  readonly before: TypeMarks | undefined;
}

/**
 * Whether the stream contains a value that its type no longer has. It may be a label that was renamed twice before the worker
 * compared the schemas, or an attribute that was added and dropped. The type is the same on both sides, and neither accepts the value.
 */
export async function isTransientValueError({
  source,
  target,
  relation,
  cause,
  before,
}: RefusedValue): Promise<boolean> {
  if (sqlStateOf(cause) !== sqlStates.invalidTextRepresentation) return false;
  const hasUsersType = [...(await tablesByType(source)).values()].some((tables) =>
    tables.some(({ oid }) => oid === String(relation.oid)),
  );
  if (!hasUsersType) return false;
  const { changes } = await readTypeDrift({ source, target, schemaOnTarget: (schema) => schema, before });
  const table = qualify(relation.schema, relation.name);
  return !changes.some(({ rule, tables }) => rule.action !== "after" && tables.includes(table));
}

/**
 * Whether the stream describes another table, or other columns, than those that had these names at the baseline. The source may
 * have exchanged names, and may have changed them back before the schemas are compared. Then only the stream shows it.
 *
 * @param baseline undefined if none was recorded
 */
export function describesOther(
  { oid, schema, name, columns }: Relation,
  { names = {}, columns: ordinals = {} }: Pick<SchemaBaseline, "names" | "columns"> = {},
): boolean {
  const table = qualify(schema, name);
  if (names[oid] !== table && Object.values(names).includes(table)) return true;
  // The stream has the columns in the order of their attribute numbers, which never change.
  const places = columns.flatMap((column) => ordinals[oid]?.indexOf(column.name) ?? []).filter((place) => place >= 0);
  return places.some((place, index) => place < (places[index - 1] ?? 0));
}
