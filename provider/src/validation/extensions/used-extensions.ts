import type { Client } from "pg";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { readSelection } from "../../schema/plan/selection.js";

/** An extension of a source database. */
export interface UsedExtension {
  readonly name: string;
  readonly version: string;
}

/**
 * The extensions that the filters do not exclude, by name. plpgsql exists in every database.
 *
 * @example const names = (await usedExtensions(source, spec)).map(({ name }) => name);
 */
export async function usedExtensions(source: Client, spec: MigrationSpec): Promise<UsedExtension[]> {
  const { cut } = await readSelection(source, spec);
  const { rows } = await source.query<UsedExtension & { key: string }>(
    `SELECT 'pg_extension'::regclass::oid || '/' || oid AS key, extname AS name, extversion AS version
       FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY extname`,
  );
  return rows.filter(({ key }) => !cut.has(key));
}
