import type { Client } from "pg";
import { withSnapshotSession } from "../../copy/snapshot.js";
import { tablesToCopy, type TableToCopy } from "../../copy/tables-to-copy.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { isCutRelation, readSelection } from "../../schema/plan/selection.js";
import type { Work } from "./work.js";

/** The tables whose rows are migrated, largest first. */
export async function selectedTables(source: Client, spec: MigrationSpec): Promise<TableToCopy[]> {
  const selection = await readSelection(source, spec);
  return (await tablesToCopy(source)).filter(({ table }) => !isCutRelation(selection, table));
}

/** Where {@link selectedTablesIn} reads. */
export interface SnapshotPlace {
  readonly database: string;
  readonly snapshotId: string;
  /** Follows the migration's name in the session's application_name. */
  readonly purpose: string;
}

/**
 * The tables whose rows are migrated, as of a snapshot. None if only the schema is.
 *
 * @example const tables = await selectedTablesIn(work, { database: "crm", snapshotId: snapshot.id, purpose: "catalogue" });
 */
export async function selectedTablesIn(
  { source, spec }: Pick<Work, "source" | "spec">,
  { purpose, ...place }: SnapshotPlace,
): Promise<TableToCopy[]> {
  if (spec.schemaOnly) return [];
  const session = { source, ...place, purpose: `${spec.migrationName} ${purpose}` };
  return withSnapshotSession(session, (client) => selectedTables(client, spec));
}
