import { Refused } from "../errors.js";
import type { Inputs } from "../inputs/inputs.js";
import {
  failedDatabases,
  hasDatabaseEnded,
  hasEnded,
  waitsBeforeTheStart,
  type DatabaseDetails,
  type MigrationStatus,
} from "../status.js";

/** How far an operation follows a migration before it answers. */
export interface Goal {
  /** What is waited for, as a message names it. */
  readonly name: string;
  readonly isReached: (status: MigrationStatus) => boolean;
  /** Whether a database has failed, by what the migration says, and the others, which go on, have come as far as they do. */
  readonly isMissed: (status: MigrationStatus) => boolean;
  /** The verification that is waited for, unless another one takes its place before it is made. */
  readonly verification?: string;
}

/** How far, as if no database could fail. */
type Aim = Omit<Goal, "isMissed">;

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
} as const satisfies Readonly<Record<string, Aim>>;

/**
 * What the inputs ask to wait for. Without `waitFor` an operation also answers where it is the user's turn, since no
 * update can come while it runs; with `waitFor` somebody else is expected to release the migration: the command, the page.
 */
export function goalOf(inputs: Inputs): Goal {
  if (inputs.cancel && inputs.dbsToCancelMigrationOn.length === 0)
    return {
      name: "its cancellation",
      isReached: ({ state }) => hasEnded(state) && state !== "Failed",
      isMissed: () => false,
    };
  const { isReached, ...aim } = aimOf(inputs);
  return {
    ...aim,
    isReached: (status) => isReached(status) && failedDatabases(status).length === 0,
    isMissed: (status) => isOneToldFailed(status) && (isReached(status) || areOthersAtRest(status, inputs)),
  };
}

/** Said a moment after the database has failed; by the migration's end, where no other one goes on. */
const isOneToldFailed = (status: MigrationStatus): boolean =>
  status.error !== undefined && failedDatabases(status).length > 0;

function aimOf(inputs: Inputs): Aim {
  const canceled = inputs.dbsToCancelMigrationOn;
  const aim = inputs.waitFor ? named[inputs.waitFor] : untilUsersTurn(untilVerified(inputs, defaultAim(inputs)));
  if (canceled.length === 0) return aim;
  return { ...aim, isReached: (status) => aim.isReached(status) && areAll(status, canceled, "Canceled") };
}

/** Whether those that have not failed wait, and all is done that these inputs ask of them. */
function areOthersAtRest(status: MigrationStatus, inputs: Inputs): boolean {
  if (!isRunning(status) || status.state !== "WaitingForUserAction") return false;
  const { triggerCutover, dbsToTriggerCutoverOn, dbsToCancelMigrationOn, rollback, verifyNow } = inputs;
  if (verifyNow !== undefined && !isVerified(status, verifyNow)) return false;
  const isToLeave = (name: string): boolean =>
    dbsToCancelMigrationOn.includes(name) ||
    (triggerCutover && (dbsToTriggerCutoverOn.length === 0 || dbsToTriggerCutoverOn.includes(name)));
  const isAtRest = ({ databaseName, migrationState, wayBack }: DatabaseDetails): boolean =>
    migrationState === "WaitingForCutoverTrigger"
      ? !isToLeave(databaseName)
      : hasDatabaseEnded(migrationState) && (migrationState === "Failed" || !wayBack || rollback === "keep");
  return Object.values(status.currentSubStateDetails.dbDetails).every(isAtRest);
}

function defaultAim(inputs: Inputs): Aim {
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

const cutOverAndKept: Aim = {
  name: "its cutover",
  isReached: (status) =>
    status.state === "Succeeded" ||
    (isRunning(status) && status.currentSubStateDetails.currentSubState === "WaitingForRollbackDecision"),
};

const untilUsersTurn = (aim: Aim): Aim => ({
  ...aim,
  isReached: (status) =>
    aim.isReached(status) ||
    (isRunning(status) && waitsBeforeTheStart.includes(status.currentSubStateDetails.currentSubState)),
});

/** A verification that is asked for is waited for, in the databases that still follow their source. */
function untilVerified({ verifyNow }: Inputs, aim: Aim): Aim {
  if (verifyNow === undefined) return aim;
  return {
    name: `${aim.name} and the verification ${verifyNow}`,
    verification: verifyNow,
    isReached: (status) => aim.isReached(status) && isVerified(status, verifyNow),
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
