import type { Client } from "pg";
import type { Wish } from "../inputs/inputs.js";
import { type Table, listTables } from "../postgres/tables.js";
import { isCutRelation, readSelection } from "../schema/plan/selection.js";

/** The tables of the source that are followed, partitioned ones and their partitions included. */
export async function tablesInScope(source: Client, wish: Wish): Promise<Table[]> {
  const selection = await readSelection(source, wish);
  return (await listTables(source)).filter(
    (table) => !table.extensionConfiguration && !isCutRelation(selection, table),
  );
}
