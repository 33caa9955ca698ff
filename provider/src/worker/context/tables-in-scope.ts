import type { Client } from "pg";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { type Table, listTables } from "../../postgres/tables.js";
import { isCutRelation, readSelection } from "../../schema/plan/selection.js";

/** The source's tables to replicate, including partitioned tables and their partitions. */
export async function tablesInScope(source: Client, spec: MigrationSpec): Promise<Table[]> {
  const selection = await readSelection(source, spec);
  return (await listTables(source)).filter(
    (table) => !table.extensionConfiguration && !isCutRelation(selection, table),
  );
}
