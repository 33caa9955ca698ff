import type { Client } from "pg";
import { tablesToCopy, type TableToCopy } from "../copy/tables-to-copy.js";
import type { Wish } from "../inputs/inputs.js";
import { isCutRelation, readSelection } from "../schema/plan/selection.js";

/** The tables whose rows are migrated, largest first. */
export async function selectedTables(source: Client, wish: Wish): Promise<TableToCopy[]> {
  const selection = await readSelection(source, wish);
  return (await tablesToCopy(source)).filter(({ table }) => !isCutRelation(selection, table));
}
