import { formatBytes } from "../units/byte-size.js";
import { workFacts } from "../display/database-facts.js";
import { findingsTable, problemsOf } from "../display/findings-table.js";
import { formatDuration } from "../units/duration.js";
import {
  failedDatabases,
  hasDatabaseEnded,
  type DatabaseDetails,
  type MigrationStatus,
  type MigrationSubState,
} from "../status.js";

/** A progress line has room for three facts. */
const maxFacts = 3;

/** One line for the resource's row: state, progress, replication lag and failed databases. */
export function progressLine(status: MigrationStatus): string {
  const failed = failedDatabases(status);
  return [wholeProgress(status), ...(failed.length > 0 ? [`failed: ${failed.join(", ")}`] : [])].join("; ");
}

function wholeProgress(status: MigrationStatus): string {
  const { currentSubState, dbDetails } = status.currentSubStateDetails;
  const head = status.worker.state === "lost" ? `${status.state} (no worker)` : status.state;
  if (currentSubState === "MigratingData")
    return `${head}: ${[copyProgress(status), ...currentWork(status)].join("; ")}`;
  if (isStreaming(currentSubState)) return `${head} / ${currentSubState}: ${followProgress(Object.values(dbDetails))}`;
  if (currentSubState === "WaitingForRollbackDecision")
    return `${head} / ${currentSubState}: ${rollbackProgress(Object.values(dbDetails))}`;
  return currentSubState === "Completed" ? `${head}: ${copyProgress(status)}` : `${head} / ${currentSubState}`;
}

const isStreaming = (subState: MigrationSubState): boolean =>
  ["WaitingForCutoverTrigger", "WaitingForCutoverWindow", "CompletingMigration"].includes(subState);

/** Facts about running work, at most `maxFacts`, the first databases first. */
function currentWork({ currentSubStateDetails: { dbDetails } }: MigrationStatus): string[] {
  const all = Object.values(dbDetails);
  const facts = all.flatMap((one) =>
    workFacts(one).map((fact) => (all.length > 1 ? `${one.databaseName}: ${fact}` : fact)),
  );
  return facts.length > maxFacts ? [...facts.slice(0, maxFacts), `and ${facts.length - maxFacts} more`] : facts;
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
    `${formatBytes(sum((one) => one.bytesCopied))}${status.worker.state === "running" ? ` at ${formatBytes(bytesPerSecond)}/s` : ""}`,
    `${sum((one) => one.indexesCompleted)} of ${sum((one) => one.indexesTotal)} indexes`,
    ...(secondsLeft === undefined ? [] : [`about ${formatDuration(secondsLeft)} left`]),
  ].join(", ");
}

function followProgress(databases: readonly DatabaseDetails[]): string {
  return databases
    .filter(({ migrationState }) => migrationState !== "Failed")
    .map((one) => {
      const changes = `${one.cdcInsertCounter} inserts, ${one.cdcUpdateCounter} updates, ${one.cdcDeleteCounter} deletes`;
      const lag = one.isLagMeasured
        ? `, latency ${one.latency.toFixed(1)} s, ${formatBytes(one.lagBytes)} behind${catchUp(one)}`
        : unknownLag(one);
      return `${one.databaseName}: ${changes}${lag}${comparing(one)}${awaited(one)}`;
    })
    .join("; ");
}

const unknownLag = ({ lagUnknownSince }: DatabaseDetails): string =>
  lagUnknownSince === undefined ? "" : `, lag unknown since ${lagUnknownSince}`;

const comparing = (one: DatabaseDetails): string =>
  workFacts(one)
    .map((fact) => `, ${fact}`)
    .join("");

/** What the database waits for, such as a statement that the user has to run. */
const awaited = ({ message }: DatabaseDetails): string => (message === undefined ? "" : `; ${message}`);

/** Omitted when the target is less than five seconds from catching up. */
const catchUp = ({ secondsToCatchUp }: DatabaseDetails): string =>
  secondsToCatchUp === undefined || secondsToCatchUp < 5
    ? ""
    : `, caught up in about ${formatDuration(secondsToCatchUp)}`;

function rollbackProgress(databases: readonly DatabaseDetails[]): string {
  return databases
    .flatMap(({ databaseName, rollbackReplication }) =>
      rollbackReplication
        ? [
            `${databaseName}: rollback replication ${rollbackReplication.state}, source ${formatBytes(rollbackReplication.lagBytes ?? 0)} behind`,
          ]
        : [],
    )
    .join("; ");
}

/** Why a migration did not succeed: its error, and for a failed validation every finding with its remedy. */
export function failureText(migration: string, status: MigrationStatus): string {
  const why = status.error ?? reasonsOfEnd(status);
  const lines = [`migration ${migration}: ${status.state}${why ? `: ${why}` : ""}`];
  if (status.state === "ValidationFailed") lines.push(findingsTable(problemsOf(status)));
  return lines.join("\n");
}

/** What the databases report, such as a return to the source, which ends a migration as canceled without an error. */
const reasonsOfEnd = ({ currentSubStateDetails: { dbDetails } }: MigrationStatus): string =>
  Object.values(dbDetails)
    .filter(({ migrationState, message }) => hasDatabaseEnded(migrationState) && message !== undefined)
    .map(({ databaseName, message }) => `${databaseName}: ${message!}`)
    .join("; ");
