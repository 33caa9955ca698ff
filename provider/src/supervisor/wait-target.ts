import { RefusedError } from "../errors.js";
import { windowText } from "../inputs/cutover-window.js";
import type { Inputs } from "../inputs/inputs.js";
import {
  answeredRequest,
  failedDatabases,
  hasDatabaseEnded,
  hasEnded,
  waitsBeforeTheStart,
  type DatabaseDetails,
  type MigrationStatus,
} from "../status.js";

/** The status at which an operation returns. */
export interface Goal {
  /** A noun phrase for messages, for example "its success". */
  readonly name: string;
  readonly isReached: (status: MigrationStatus) => boolean;
  /** Whether a database failed and the other databases cannot progress further without a change of the inputs. */
  readonly isUnreachable: (status: MigrationStatus) => boolean;
  /** The verification to wait for, if the inputs request one. */
  readonly verification?: string;
}

/** The inputs that determine the goal. */
export type GoalInputs = Pick<
  Inputs,
  | "migrationMode"
  | "migrationOption"
  | "triggerCutover"
  | "dbsToTriggerCutoverOn"
  | "cancel"
  | "dbsToCancelMigrationOn"
  | "rollback"
  | "verifyNow"
  | "waitFor"
  | "cutoverWindow"
>;

/** The goal if no database fails. */
type GoalWithoutFailures = Omit<Goal, "isUnreachable">;

const isRunning = (status: MigrationStatus): boolean => status.worker.state === "running";

const awaitsCutover = (status: MigrationStatus): boolean =>
  isRunning(status) && status.currentSubStateDetails.currentSubState === "WaitingForCutoverTrigger";

/** A database that failed is retried from its stream. It may fail again before the stream is open. */
const isAnyStreamOpening = ({ currentSubStateDetails }: MigrationStatus): boolean =>
  Object.values(currentSubStateDetails.dbDetails).some(
    ({ migrationState, migrationOperation }) => migrationState === "InProgress" && migrationOperation === "following",
  );

const named = {
  started: {
    name: "the start of its worker",
    isReached: (status) => isRunning(status) || status.state === "Succeeded",
  },
  cutoverReady: {
    name: "the wait for its cutover",
    isReached: (status) => (awaitsCutover(status) && !isAnyStreamOpening(status)) || status.state === "Succeeded",
  },
  succeeded: { name: "its success", isReached: (status) => status.state === "Succeeded" },
} as const satisfies Readonly<Record<string, GoalWithoutFailures>>;

/**
 * The goal that follows from the inputs. Without `waitFor` an operation also returns where the migration waits for the user,
 * because Pulumi cannot start an update while one is running. With `waitFor` the command or the dashboard has to release it.
 */
export function goalFromInputs(inputs: GoalInputs): Goal {
  if (inputs.cancel && inputs.dbsToCancelMigrationOn.length === 0)
    return {
      name: "its cancellation",
      isReached: ({ state }) => hasEnded(state) && state !== "Failed",
      isUnreachable: () => false,
    };
  const { isReached, ...goal } = goalWithoutFailures(inputs);
  return {
    ...goal,
    isReached: (status) => isReached(status) && failedDatabases(status).length === 0,
    isUnreachable: (status) => isFailureReported(status) && (isReached(status) || areOthersAtRest(status, inputs)),
  };
}

/** The migration's error is recorded shortly after the database failed, or at the migration's end. */
const isFailureReported = (status: MigrationStatus): boolean =>
  status.error !== undefined && failedDatabases(status).length > 0;

function goalWithoutFailures(inputs: GoalInputs): GoalWithoutFailures {
  const canceled = inputs.dbsToCancelMigrationOn;
  const goal = inputs.waitFor ? named[inputs.waitFor] : orWaitsForUser(untilVerified(inputs, orAwaitsWindow(inputs)));
  if (canceled.length === 0) return goal;
  return { ...goal, isReached: (status) => goal.isReached(status) && areAll(status, canceled, "Canceled") };
}

/** Whether all databases that did not fail wait for the user and did everything that the inputs ask of them. */
function areOthersAtRest(status: MigrationStatus, inputs: GoalInputs): boolean {
  if (!isRunning(status) || status.state !== "WaitingForUserAction") return false;
  const { triggerCutover, dbsToTriggerCutoverOn, dbsToCancelMigrationOn, rollback, verifyNow } = inputs;
  if (verifyNow !== undefined && !isVerified(status, verifyNow)) return false;
  const mustFinish = (name: string): boolean =>
    dbsToCancelMigrationOn.includes(name) ||
    (triggerCutover && (dbsToTriggerCutoverOn.length === 0 || dbsToTriggerCutoverOn.includes(name)));
  const isAtRest = ({ databaseName, migrationState, rollbackReplication }: DatabaseDetails): boolean =>
    migrationState === "WaitingForCutoverTrigger"
      ? !mustFinish(databaseName)
      : hasDatabaseEnded(migrationState) &&
        (migrationState === "Failed" || !rollbackReplication || rollback === "keep");
  return Object.values(status.currentSubStateDetails.dbDetails).every(isAtRest);
}

function defaultGoal(inputs: GoalInputs): GoalWithoutFailures {
  if (inputs.migrationOption === "Validate" || inputs.migrationMode === "Offline") return named.succeeded;
  if (!inputs.triggerCutover) return named.cutoverReady;
  const listed = inputs.dbsToTriggerCutoverOn;
  const databases = listed.filter((name) => !inputs.dbsToCancelMigrationOn.includes(name));
  if (inputs.rollback === "return")
    return {
      name: "the return to its source",
      // A database that was cut over without rollback replication ends as Succeeded.
      isReached: (status) =>
        status.state === "Canceled" ||
        status.state === "Succeeded" ||
        (listed.length > 0 && databases.every((name) => isReturned(status, name)) && isAnyOpen(status)),
    };
  if (listed.length === 0) return inputs.rollback === "keep" ? cutOverAndKept : named.succeeded;
  const keeps = inputs.rollback === "keep";
  const hasKept = ({ currentSubStateDetails: { dbDetails } }: MigrationStatus): boolean =>
    databases.some((name) => dbDetails[name]?.rollbackReplication !== undefined);
  return {
    name: `the cutover of ${listed.join(", ")}`,
    // After the last database, wait for the end of the migration itself, which follows a moment later.
    isReached: (status) =>
      (keeps ? cutOverAndKept : named.succeeded).isReached(status) ||
      (areAll(status, databases, "Succeeded") &&
        (keeps || !hasKept(status)) &&
        isAnyOpen(status) &&
        !isAnyStreamOpening(status)),
  };
}

function isReturned({ currentSubStateDetails: { dbDetails } }: MigrationStatus, name: string): boolean {
  const details = dbDetails[name];
  return details !== undefined && hasDatabaseEnded(details.migrationState) && details.rollbackReplication === undefined;
}

const isAnyOpen = ({ currentSubStateDetails }: MigrationStatus): boolean =>
  Object.values(currentSubStateDetails.dbDetails).some(({ migrationState }) => !hasDatabaseEnded(migrationState));

const cutOverAndKept: GoalWithoutFailures = {
  name: "its cutover",
  isReached: (status) =>
    status.state === "Succeeded" ||
    (isRunning(status) && status.currentSubStateDetails.currentSubState === "WaitingForRollbackDecision"),
};

/** A window may be days ahead. The worker cuts over without Pulumi. */
function orAwaitsWindow(inputs: GoalInputs): GoalWithoutFailures {
  const goal = defaultGoal(inputs);
  const { cutoverWindow: window } = inputs;
  const awaitsWindow = (status: MigrationStatus): boolean => {
    const { currentSubState, dbDetails } = status.currentSubStateDetails;
    if (!window || !isRunning(status) || currentSubState !== "WaitingForCutoverWindow") return false;
    // Otherwise the worker still waits for an earlier window. Only its clock counts.
    return Object.values(dbDetails).some(({ awaitedWindow }) => awaitedWindow === windowText(window));
  };
  return { ...goal, isReached: (status) => goal.isReached(status) || awaitsWindow(status) };
}

const orWaitsForUser = (goal: GoalWithoutFailures): GoalWithoutFailures => ({
  ...goal,
  isReached: (status) =>
    goal.isReached(status) ||
    (isRunning(status) && waitsBeforeTheStart.includes(status.currentSubStateDetails.currentSubState)),
});

/** Extends the goal by the requested verification of the databases that still replicate from their source. */
function untilVerified({ verifyNow }: GoalInputs, goal: GoalWithoutFailures): GoalWithoutFailures {
  if (verifyNow === undefined) return goal;
  return {
    name: `${goal.name} and the verification ${verifyNow}`,
    verification: verifyNow,
    isReached: (status) => goal.isReached(status) && isVerified(status, verifyNow),
  };
}

/** Whether the verification of that name has a result for every database that waits for its cutover. */
export const isVerified = (status: MigrationStatus, requestedBy: string): boolean =>
  Object.values(status.currentSubStateDetails.dbDetails).every(
    ({ migrationState, verification }) =>
      migrationState !== "WaitingForCutoverTrigger" ||
      (verification !== undefined && answeredRequest(verification) === requestedBy && verification.state !== "running"),
  );

/** @throws RefusedError if the verification will never run, because another request replaced it */
export function refuseReplaced(status: MigrationStatus, requestedBy: string, asked: string | undefined): void {
  if (asked === requestedBy || isVerified(status, requestedBy)) return;
  const isUnderWay = Object.values(status.currentSubStateDetails.dbDetails).some(
    ({ verification }) => verification?.state === "running" && answeredRequest(verification) === requestedBy,
  );
  if (isUnderWay) return;
  throw new RefusedError(
    `the verification ${requestedBy} was not run: ${asked === undefined ? "the request was withdrawn" : `the request ${asked} replaced it`}`,
    { remedy: "set `verifyNow` to a new value once no other verification is running" },
  );
}

const areAll = (status: MigrationStatus, databases: readonly string[], state: string): boolean =>
  databases.every((name) => {
    const details = status.currentSubStateDetails.dbDetails[name];
    return details?.migrationState === state || details?.migrationState === "Succeeded";
  });
