import { isDeepStrictEqual } from "node:util";
import { inputsSchema, type Inputs } from "../inputs/inputs.js";
import { containsUnknown } from "../inputs/unknown-value.js";
import { replacedDatabases } from "../schema/database/used-databases.js";
import { enumerate } from "../units/enumerate.js";
import { failedDatabases, hasEnded, type MigrationStatus } from "../status.js";
import { keepDatabases } from "./databases/resolve-databases.js";
import { noteNewDatabases } from "./databases/note-new-databases.js";
import { differingIdentity } from "./ownership/identity.js";
import type { Report } from "../supervisor/supervise-worker.js";
import { observeBriefly, observedStatus } from "./observe.js";
import { owns } from "./ownership/ownership.js";
import { toStandardError } from "./reach-goal.js";
import { failureWithin, inputsWithin, statusWithin, type Properties } from "./state.js";

/** Inputs that concern only the operation, or the program's machine. */
const unrecordedInputs = ["resourceUrn", "timeouts", "waitFor", "onExistingRecord", "onFailure", "retries"];

export interface DiffAnswer {
  readonly changes: boolean;
  readonly replaces?: string[];
  readonly deleteBeforeReplace?: boolean;
}

/**
 * Determines what a change of inputs requires. Without a change of inputs, it reads the records. A migration that
 * failed, lost its worker, or lost required objects on a server counts as changed, and `update` repairs it.
 *
 * @param note takes databases of the source that patterns would select by now
 */
export async function diff(
  _id: string,
  olds: Properties,
  given: Properties,
  note: Report = toStandardError,
): Promise<DiffAnswer> {
  // An operation may have resolved patterns that the check could not resolve.
  const news = keepDatabases(olds, given);
  const before = inputsWithin(olds);
  const after = inputsWithin(news);
  const replaces = before && after ? differingIdentity(before, after) : [];
  // The name is unique on the target: the old migration's record must be removed before the new one is created.
  if (replaces.length > 0) {
    const replaced = after ? replacedDatabases(after) : [];
    if (after && replaced.length > 0) note(overwritten(after, replaced));
    return { changes: true, replaces, deleteBeforeReplace: true };
  }
  if (before && !after) noteUnknownIdentity(news, note);
  const isOver = !after || isSettled(statusWithin(olds), after);
  const noted = isOver ? undefined : noteNewDatabases(olds, after, note);
  const changed = Object.keys(inputsSchema.shape).some(
    (key) => !unrecordedInputs.includes(key) && !isDeepStrictEqual(olds[key], news[key]),
  );
  const changes =
    changed || failureWithin(olds) !== undefined || (after !== undefined && (await needsUpdate(olds, after)));
  await noted;
  return { changes };
}

/** Another resource of the program changes in the same operation: the operation may replace what this preview shows as an update. */
function noteUnknownIdentity(news: Properties, note: Report): void {
  const serverOf = (key: string): unknown => {
    const server = news[key];
    if (typeof server !== "object" || server === null) return server;
    const { host, port } = server as Properties;
    return [host, port];
  };
  const keys = Object.keys(news).filter((key) => /DbServer(ResourceId|FullyQualifiedDomainName)$/.test(key));
  const values = [
    ...["source", "target"].map((key) => [key, serverOf(key)] as const),
    ...["migrationName", "migrationMode", "databaseNames", "maintenanceDatabase", ...keys].map(
      (key) => [key, news[key]] as const,
    ),
  ];
  const unknown = values.filter(([, value]) => containsUnknown(value)).map(([key]) => key);
  if (unknown.length === 0) return;
  note(
    `this preview does not know ${unknown.join(", ")} yet. If the server or the name changes, the operation replaces the migration: ` +
      "it removes the old one, and copies everything again",
  );
}

const overwritten = ({ migrationName, target }: Inputs, replaced: readonly string[]): string =>
  `the replacement of ${migrationName} copies everything again. Because overwriteDbsInTarget is true, it drops these databases on ` +
  `${target.host}:${target.port}, unless applications use them: ${enumerate(replaced, 50)}`;

async function needsUpdate(olds: Properties, inputs: Inputs): Promise<boolean> {
  const known = statusWithin(olds);
  if (isSettled(known, inputs)) return false;
  const seen = await observeBriefly(inputs, "diff");
  if (seen?.kind === "recorded" && !owns(olds, seen.owner)) return true;
  const status = (seen && observedStatus(seen, olds)) ?? known;
  return needsAttention(status, inputs) || needsReport(known, status, inputs);
}

/** Whether the migration ended after the last operation, for example by a cutover with the dashboard. */
const needsReport = (known: MigrationStatus | undefined, now: MigrationStatus | undefined, inputs: Inputs): boolean =>
  inputs.report !== undefined &&
  known !== undefined &&
  !hasEnded(known.state) &&
  now !== undefined &&
  hasEnded(now.state);

/** Whether only another spec requires an update. */
const isSettled = (status: MigrationStatus | undefined, inputs: Inputs): boolean =>
  status?.state === "Succeeded" ||
  (status?.state === "Canceled" &&
    (inputs.cancel || inputs.rollback === "return" || inputs.onMaxRetainedWal === "cancel"));

function needsAttention(status: MigrationStatus | undefined, inputs: Inputs): boolean {
  if (!status || isSettled(status, inputs)) return false;
  const awaitsAnotherTry = hasEnded(status.state) || failedDatabases(status).length > 0;
  return awaitsAnotherTry || (status.worker.state === "lost" && inputs.runner === "local");
}
