import type { Command } from "commander";
import type { DatabaseDetails, MigrationStatus } from "../../status.js";
import { formatTable } from "../../display/format-table.js";
import { inCommandTerms } from "../output/command-terms.js";
import { problemLines } from "../output/problem-lines.js";
import { databaseFacts } from "../../display/database-facts.js";
import { readStatus } from "../../store/read-status.js";
import { formatBytes } from "../../units/byte-size.js";
import { escapeLine } from "../../units/terminal-text.js";
import { addMigrationOptions, type MigrationFlags } from "../options/migration-options.js";
import { gridColumns } from "../../display/grid-columns.js";
import { azureResource, type AzureFlags } from "../output/azure-resource.js";
import { migrationRow } from "../output/grid-row.js";
import { withMigration, type FoundMigration } from "../migration/open-store.js";
import { addOutputOption, print, type OutputFlags } from "../output/print.js";

/** How a migration is printed. */
export type ShowFlags = AzureFlags & OutputFlags;

export function addShow(program: Command): void {
  const command = program.command("show").description("show one migration and its status");
  addOutputOption(addMigrationOptions(command), "json")
    .addHelpText("after", "\nExample:\n  pg-migration show --service prod --name crm -o table")
    .action((flags: MigrationFlags & ShowFlags) => withMigration(flags, (found) => show(found, flags)));
}

/** Prints the current status of a migration. */
export async function show({ store, migration }: FoundMigration, flags: ShowFlags): Promise<void> {
  const status = await readStatus(store, migration.name);
  await print(flags, azureResource(migration, status, flags), () =>
    [
      formatTable(gridColumns, [migrationRow(migration)]),
      "",
      ...(status ? [databasesTable(status), ...findingLines(status), ...errorLines(status)] : []),
    ].join("\n"),
  );
}

function databasesTable(status: MigrationStatus): string {
  const head = ["Database", "Status", "Copied", "Queued", "Copying", "In error", "Rows", "Bytes", "Inserts", "Updates"];
  const rows = Object.values(status.currentSubStateDetails.dbDetails).map((one) => [
    one.databaseName,
    one.migrationState,
    String(one.fullLoadCompletedTables),
    String(one.fullLoadQueuedTables),
    String(one.fullLoadLoadingTables),
    String(one.fullLoadErroredTables),
    String(one.rowsCopied),
    formatBytes(one.bytesCopied),
    String(one.cdcInsertCounter),
    String(one.cdcUpdateCounter),
    String(one.cdcDeleteCounter),
    lag(one),
    verified(one),
  ]);
  return [formatTable([...head, "Deletes", "Behind", "Verified"], rows), ...factLines(status)].join("\n");
}

/** Facts of each database that have no column. */
function factLines(status: MigrationStatus): string[] {
  const lines = Object.values(status.currentSubStateDetails.dbDetails).flatMap((one) => {
    const facts = databaseFacts(one);
    return facts.length === 0 ? [] : [escapeLine(`${one.databaseName}: ${inCommandTerms(facts.join("; "))}`)];
  });
  return lines.length === 0 ? [] : ["", ...lines];
}

function findingLines(status: MigrationStatus): string[] {
  const lines = problemLines(status);
  return lines.length === 0 ? [] : ["", ...lines];
}

const errorLines = ({ error }: MigrationStatus): string[] => (error === undefined ? [] : ["", inCommandTerms(error)]);

function lag({ isLagMeasured, lagUnknownSince, lagBytes, latencySeconds }: DatabaseDetails): string {
  if (isLagMeasured) return `${formatBytes(lagBytes)} / ${latencySeconds.toFixed(1)} s`;
  return lagUnknownSince === undefined ? "-" : "unknown";
}

function verified({ tablesCompared, tablesDifferent, tablesCounted }: DatabaseDetails): string {
  if (tablesCompared === 0) return "-";
  const what = tablesDifferent > 0 ? `${tablesDifferent} of ${tablesCompared} differ` : `${tablesCompared} equal`;
  return tablesCounted === 0 ? what : `${what} (${tablesCounted} by counts)`;
}
