import { formatBytes } from "../units/byte-size.js";
import { workFacts } from "../display/database-facts.js";
import { formatDuration } from "../units/duration.js";
import { failedDatabases, type DatabaseDetails, type MigrationStatus, type ValidationMessage } from "../status.js";

/** A line has no room for more. */
const mostFacts = 3;

/** One line for the resource's row: where the migration is, how far, how far behind, and which databases have failed. */
export function progressLine(status: MigrationStatus): string {
  const failed = failedDatabases(status);
  return [wholeProgress(status), ...(failed.length > 0 ? [`failed: ${failed.join(", ")}`] : [])].join("; ");
}

function wholeProgress(status: MigrationStatus): string {
  const { currentSubState, dbDetails } = status.currentSubStateDetails;
  const head = status.worker.state === "lost" ? `${status.state} (no worker)` : status.state;
  if (currentSubState === "MigratingData")
    return `${head}: ${[copyProgress(status), ...workInHand(status)].join("; ")}`;
  if (currentSubState === "WaitingForCutoverTrigger" || currentSubState === "CompletingMigration")
    return `${head} / ${currentSubState}: ${followProgress(Object.values(dbDetails))}`;
  if (currentSubState === "WaitingForRollbackDecision")
    return `${head} / ${currentSubState}: ${wayBackProgress(Object.values(dbDetails))}`;
  return currentSubState === "Completed" ? `${head}: ${copyProgress(status)}` : `${head} / ${currentSubState}`;
}

/** Of the first databases that have any. */
function workInHand({ currentSubStateDetails: { dbDetails } }: MigrationStatus): string[] {
  const all = Object.values(dbDetails);
  const facts = all.flatMap((one) =>
    workFacts(one).map((fact) => (all.length > 1 ? `${one.databaseName}: ${fact}` : fact)),
  );
  return facts.length > mostFacts ? [...facts.slice(0, mostFacts), `and ${facts.length - mostFacts} more`] : facts;
}

function copyProgress({ percent, bytesPerSecond, secondsLeft, ...status }: MigrationStatus): string {
  const databases = Object.values(status.currentSubStateDetails.dbDetails);
  const sum = (pick: (database: DatabaseDetails) => number): number =>
    databases.reduce((all, one) => all + pick(one), 0);
  const done = sum((one) => one.fullLoadCompletedTables);
  const tables = done + sum((one) => one.fullLoadQueuedTables + one.fullLoadLoadingTables + one.fullLoadErroredTables);
  return [
    [...new Set(databases.map((one) => one.migrationOperation))].join(", "),
    `${percent} %`,
    `${done} of ${tables} tables`,
    `${sum((one) => one.rowsCopied).toLocaleString("en")} rows`,
    `${formatBytes(sum((one) => one.bytesCopied))} at ${formatBytes(bytesPerSecond)}/s`,
    `${sum((one) => one.indexesCompleted)} of ${sum((one) => one.indexesTotal)} indexes`,
    ...(secondsLeft === undefined ? [] : [`about ${formatDuration(secondsLeft)} left`]),
  ].join(", ");
}

function followProgress(databases: readonly DatabaseDetails[]): string {
  return databases
    .filter(({ migrationState }) => migrationState !== "Failed")
    .map((one) => {
      const changes = `${one.cdcInsertCounter} inserts, ${one.cdcUpdateCounter} updates, ${one.cdcDeleteCounter} deletes`;
      return `${one.databaseName}: ${changes}, latency ${one.latency.toFixed(1)} s, ${formatBytes(one.lagBytes)} behind${catchUp(one)}${comparing(one)}`;
    })
    .join("; ");
}

const comparing = (one: DatabaseDetails): string =>
  workFacts(one)
    .map((fact) => `, ${fact}`)
    .join("");

/** Not worth a word within seconds of the source. */
const catchUp = ({ secondsToCatchUp }: DatabaseDetails): string =>
  secondsToCatchUp === undefined || secondsToCatchUp < 5
    ? ""
    : `, caught up in about ${formatDuration(secondsToCatchUp)}`;

function wayBackProgress(databases: readonly DatabaseDetails[]): string {
  return databases
    .flatMap(({ databaseName, wayBack }) =>
      wayBack
        ? [`${databaseName}: way back ${wayBack.state}, source ${formatBytes(wayBack.lagBytes ?? 0)} behind`]
        : [],
    )
    .join("; ");
}

/** Why a migration did not succeed: its error, and for a failed validation every finding with its remedy. */
export function failureText(migration: string, status: MigrationStatus): string {
  const lines = [`migration ${migration}: ${status.state}${status.error ? `: ${status.error}` : ""}`];
  if (status.state === "ValidationFailed") lines.push(...findingTable(status));
  return lines.join("\n");
}

/** All that is not as it should be, as a table; below each finding what can be done about it. */
function findingTable(status: MigrationStatus): string[] {
  const details = status.currentSubStateDetails.validationDetails;
  if (!details) return [];
  const findings = [
    ...details.serverLevelValidationDetails,
    ...details.dbLevelValidationDetails.flatMap((one) => one.summary),
  ]
    .flatMap((summary) => summary.messages)
    .filter(({ state }) => state !== "Succeeded")
    .sort((a, b) => Number(a.state !== "Failed") - Number(b.state !== "Failed"));
  const rows = [["Status", "Code", "Object", "Object type", "Finding"], ...findings.map(cellsOf)];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.flatMap((row, index) => {
    const remedy = findings[index - 1]?.remedy;
    const line = `  ${row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ")}`.trimEnd();
    return remedy === undefined ? [line] : [line, `      To do: ${remedy}`];
  });
}

const cellsOf = ({ state, code, object, objectType, message }: ValidationMessage): string[] => [
  state,
  code ?? "-",
  object ?? "-",
  objectType ?? "-",
  message,
];
