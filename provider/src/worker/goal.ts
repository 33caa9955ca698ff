import { Refused } from "../errors.js";
import type { Inputs } from "../inputs.js";
import { hasDatabaseEnded, hasEnded, waitsBeforeTheStart, type MigrationStatus } from "../status.js";

/** How far an operation follows a migration before it answers. */
export interface Goal {
  /** What is waited for, as a message names it. */
  readonly name: string;
  readonly isReached: (status: MigrationStatus) => boolean;
  /** The verification that is waited for, unless another one takes its place before it is made. */
  readonly verification?: string;
}

const isRunning = (status: MigrationStatus): boolean => status.worker.state === "running";

const awaitsCutover = (status: MigrationStatus): boolean =>
  isRunning(status) && status.currentSubStateDetails.currentSubState === "WaitingForCutoverTrigger";

const named = {
  started: {
    name: "the start of its worker",
    isReached: (status) => isRunning(status) || status.state === "Succeeded",
  },
  cutoverReady: {
    name: "the wait for its cutover",
    isReached: (status) => awaitsCutover(status) || status.state === "Succeeded",
  },
  succeeded: { name: "its success", isReached: (status) => status.state === "Succeeded" },
} as const satisfies Readonly<Record<string, Goal>>;

/**
 * What the inputs ask to wait for. Without `waitFor` an operation also answers where it is the user's turn, since no
 * update can come while it runs; with `waitFor` somebody else is expected to release the migration: the command, the page.
 */
export function goalOf(inputs: Inputs): Goal {
  if (inputs.cancel && inputs.dbsToCancelMigrationOn.length === 0)
    return { name: "its cancellation", isReached: ({ state }) => hasEnded(state) && state !== "Failed" };
  const canceled = inputs.dbsToCancelMigrationOn;
  const goal = inputs.waitFor ? named[inputs.waitFor] : untilUsersTurn(untilVerified(inputs, defaultGoal(inputs)));
  if (canceled.length === 0) return goal;
  return { ...goal, isReached: (status) => goal.isReached(status) && areAll(status, canceled, "Canceled") };
}

function defaultGoal(inputs: Inputs): Goal {
  if (inputs.migrationOption === "Validate" || inputs.migrationMode === "Offline") return named.succeeded;
  if (!inputs.triggerCutover) return named.cutoverReady;
  const databases = inputs.dbsToTriggerCutoverOn;
  if (inputs.rollback === "return")
    return {
      name: "the return to its source",
      // One that was cut over without a way back has succeeded beside.
      isReached: (status) =>
        status.state === "Canceled" ||
        status.state === "Succeeded" ||
        (databases.length > 0 && databases.every((name) => isReturned(status, name)) && isAnyOpen(status)),
    };
  if (databases.length === 0) return inputs.rollback === "keep" ? cutOverAndKept : named.succeeded;
  return {
    name: `the cutover of ${databases.join(", ")}`,
    // With the last of all databases, the migration itself comes to its end: a moment later.
    isReached: (status) =>
      cutOverAndKept.isReached(status) || (areAll(status, databases, "Succeeded") && isAnyOpen(status)),
  };
}

function isReturned({ currentSubStateDetails: { dbDetails } }: MigrationStatus, name: string): boolean {
  const details = dbDetails[name];
  return details !== undefined && hasDatabaseEnded(details.migrationState) && details.wayBack === undefined;
}

const isAnyOpen = ({ currentSubStateDetails }: MigrationStatus): boolean =>
  Object.values(currentSubStateDetails.dbDetails).some(({ migrationState }) => !hasDatabaseEnded(migrationState));

const cutOverAndKept: Goal = {
  name: "its cutover",
  isReached: (status) =>
    status.state === "Succeeded" ||
    (isRunning(status) && status.currentSubStateDetails.currentSubState === "WaitingForRollbackDecision"),
};

const untilUsersTurn = (goal: Goal): Goal => ({
  ...goal,
  isReached: (status) =>
    goal.isReached(status) ||
    (isRunning(status) && waitsBeforeTheStart.includes(status.currentSubStateDetails.currentSubState)),
});

/** A verification that is asked for is waited for, in the databases that still follow their source. */
function untilVerified({ verifyNow }: Inputs, goal: Goal): Goal {
  if (verifyNow === undefined) return goal;
  return {
    name: `${goal.name} and the verification ${verifyNow}`,
    verification: verifyNow,
    isReached: (status) => goal.isReached(status) && isVerified(status, verifyNow),
  };
}

/** Whether the verification of that name has come to a result in every database that waits for its cutover. */
export const isVerified = (status: MigrationStatus, requestedBy: string): boolean =>
  Object.values(status.currentSubStateDetails.dbDetails).every(
    ({ migrationState, verification }) =>
      migrationState !== "WaitingForCutoverTrigger" ||
      (verification?.requestedBy === requestedBy && verification.state !== "running"),
  );

/** @throws Refused where a verification will never be made, since another one is asked for instead */
export function refuseReplaced(status: MigrationStatus, requestedBy: string, asked: string | undefined): void {
  if (asked === requestedBy || isVerified(status, requestedBy)) return;
  const isUnderWay = Object.values(status.currentSubStateDetails.dbDetails).some(
    ({ verification }) => verification?.requestedBy === requestedBy && verification.state === "running",
  );
  if (isUnderWay) return;
  throw new Refused(`the verification ${requestedBy} is not made: ${asked ?? "none"} has taken its place`, {
    remedy: "ask for it again, under another name, when nobody else asks for one",
  });
}

const areAll = (status: MigrationStatus, databases: readonly string[], state: string): boolean =>
  databases.every((name) => {
    const details = status.currentSubStateDetails.dbDetails[name];
    return details?.migrationState === state || details?.migrationState === "Succeeded";
  });
