import type { DatabaseDetails, MigrationStatus, ValidationMessage } from "../status.js";

/** One line for the resource's row: where the migration is, how far, how far behind. */
export function progressLine(status: MigrationStatus): string {
  const { currentSubState, dbDetails } = status.currentSubStateDetails;
  const databases = Object.values(dbDetails);
  const head = status.worker.state === "lost" ? `${status.state} (no worker)` : status.state;
  if (currentSubState === "MigratingData") return `${head}: ${copyProgress(databases)}`;
  if (currentSubState === "WaitingForCutoverTrigger" || currentSubState === "CompletingMigration")
    return `${head} / ${currentSubState}: ${followProgress(databases)}`;
  return currentSubState === "Completed" ? `${head}: ${copyProgress(databases)}` : `${head} / ${currentSubState}`;
}

function copyProgress(databases: readonly DatabaseDetails[]): string {
  const sum = (pick: (database: DatabaseDetails) => number): number =>
    databases.reduce((all, one) => all + pick(one), 0);
  const done = sum((one) => one.fullLoadCompletedTables);
  const tables = done + sum((one) => one.fullLoadQueuedTables + one.fullLoadLoadingTables + one.fullLoadErroredTables);
  const rows = sum((one) => one.rowsCopied);
  const rowsEstimated = sum((one) => one.rowsEstimated);
  const indexes = `${sum((one) => one.indexesCompleted)} of ${sum((one) => one.indexesTotal)} indexes`;
  const percent = rowsEstimated > 0 ? Math.min(100, Math.floor((100 * rows) / rowsEstimated)) : 0;
  const operations = [...new Set(databases.map((one) => one.migrationOperation))].join(", ");
  return `${operations}, ${done} of ${tables} tables, ${rows.toLocaleString("en")} rows (${percent} %), ${formatBytes(sum((one) => one.bytesCopied))}, ${indexes}`;
}

function followProgress(databases: readonly DatabaseDetails[]): string {
  return databases
    .map((one) => {
      const changes = `${one.cdcInsertCounter} inserts, ${one.cdcUpdateCounter} updates, ${one.cdcDeleteCounter} deletes`;
      return `${one.databaseName}: ${changes}, latency ${one.latency.toFixed(1)} s, ${formatBytes(one.lagBytes)} behind`;
    })
    .join("; ");
}

/** Bytes in the binary units that PostgreSQL's `pg_size_pretty` uses. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]!}`;
}

/** Why a migration did not succeed: its error, and for a failed validation every finding with its remedy. */
export function failureText(migration: string, status: MigrationStatus): string {
  const lines = [`migration ${migration}: ${status.state}${status.error ? `: ${status.error}` : ""}`];
  if (status.state === "ValidationFailed") lines.push(...findingLines(status));
  return lines.join("\n");
}

function findingLines(status: MigrationStatus): string[] {
  const details = status.currentSubStateDetails.validationDetails;
  if (!details) return [];
  const summaries = [
    ...details.serverLevelValidationDetails,
    ...details.dbLevelValidationDetails.flatMap((one) => one.summary),
  ];
  return summaries
    .flatMap((summary) => summary.messages)
    .filter((message) => message.state !== "Succeeded")
    .map(findingLine);
}

function findingLine({ state, code, object, objectType, message, remedy }: ValidationMessage): string {
  const subject = [objectType, object].filter(Boolean).join(" ");
  return `  ${[state, code, subject].filter(Boolean).join(" | ")}: ${message}${remedy ? `\n      To do: ${remedy}` : ""}`;
}
