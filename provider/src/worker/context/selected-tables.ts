import type { Client } from "pg";
import { tablesToCopy, type TableToCopy } from "../../copy/tables-to-copy.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { isCutRelation, readSelection } from "../../schema/plan/selection.js";

/** The tables whose rows are migrated, largest first. */
export async function selectedTables(source: Client, spec: MigrationSpec): Promise<TableToCopy[]> {
  const selection = await readSelection(source, spec);
  return (await tablesToCopy(source)).filter(({ table }) => !isCutRelation(selection, table));
}
