import { isDeepStrictEqual } from "node:util";
import type { InputFailure } from "../errors.js";
import type { Inputs } from "../inputs/inputs.js";
import type { DatabaseDetails, MigrationStatus } from "../status.js";
import { differingCopyInputs, fixedReason, fixedRemedy, isUnderWay, type CopyInputs } from "../inputs/copy-inputs.js";

/** The inputs before and after a change. */
interface Change {
  readonly before: TransitionInputs;
  readonly after: TransitionInputs;
}

type TransitionInputs = CopyInputs &
  Pick<Inputs, "migrationMode" | "triggerCutover" | "cancel" | "rollback" | "dbsToMigrate" | "dbsToCancelMigrationOn">;

/** Whether a change may be impossible in some states, so that the migration's state has to be read. */
export const dependsOnState = ({ before, after }: Change): boolean =>
  before.triggerCutover !== after.triggerCutover ||
  newlyCanceled({ before, after }, after.dbsToMigrate).length > 0 ||
  (before.rollback !== after.rollback && after.rollback !== "drop") ||
  removedDatabases({ before, after }).length > 0 ||
  differingCopyInputs(before, after).length > 0;

/**
 * The change without what the record has already. Pulumi may have been killed while an update carried the change out, or the
 * command or the dashboard has made it.
 */
export function withoutRecordedChanges({ before, after }: Change, recorded: TransitionInputs): Change {
  const isRecorded = ([key, value]: [string, unknown]): boolean =>
    isDeepStrictEqual(recorded[key as keyof TransitionInputs], value);
  const known = Object.fromEntries(Object.entries(after).filter(isRecorded));
  return { before: { ...before, ...known }, after };
}

const removedDatabases = ({ before, after }: Change): string[] =>
  before.dbsToMigrate.filter((name) => !after.dbsToMigrate.includes(name));

/** The databases that a switch concerns: those named, or all if none is named. */
export function concernedDatabases(isOn: boolean, named: readonly string[], all: readonly string[]): readonly string[] {
  if (!isOn) return [];
  return named.length > 0 ? named : all;
}

/** @param all the databases of the migration */
function newlyCanceled({ before, after }: Change, all: readonly string[]): string[] {
  const canceledBy = ({ cancel, dbsToCancelMigrationOn }: TransitionInputs): readonly string[] =>
    concernedDatabases(cancel, dbsToCancelMigrationOn, all);
  const known = canceledBy(before);
  return canceledBy(after).filter((name) => !known.includes(name));
}

/** Changes that are impossible in the migration's state, with the code of Azure's service if it has one. */
export function impossibleTransitions({ before, after }: Change, status: MigrationStatus): InputFailure[] {
  const { state } = status;
  const failures: InputFailure[] = [];
  const refuse = (property: string, reason: string): void => {
    failures.push({ property, reason });
  };
  const isOver = state === "Succeeded" || state === "Canceled";
  if (after.triggerCutover && !before.triggerCutover && isOver)
    refuse("triggerCutover", `603113: the migration has ended (${state}) and cannot be cut over; remove it`);
  const { currentSubState, dbDetails } = status.currentSubStateDetails;
  const isKeeping = currentSubState === "WaitingForRollbackDecision";
  const cuttingOver = (isCuttingOver(status) && !after.cancel) || isKeeping;
  if (before.triggerCutover && !after.triggerCutover && (state === "Succeeded" || cuttingOver))
    refuse(
      "triggerCutover",
      `603113: the cutover ${cuttingOver ? "is in progress" : "is complete"} and cannot be reverted; leave triggerCutover true`,
    );
  const isKept = Object.values(dbDetails).some(({ rollbackReplication }) => rollbackReplication !== undefined);
  if (before.rollback !== after.rollback && after.rollback === "return" && !isKept)
    refuse("rollback", "no rollback replication exists: it starts at the cutover if rollback is keep");
  if (before.rollback !== after.rollback && after.rollback === "keep" && isOver)
    refuse("rollback", `the migration has ended (${state}): rollback replication starts at the cutover; remove it`);
  const canceled = newlyCanceled({ before, after }, Object.keys(dbDetails));
  const kept = canceled.filter((name) => dbDetails[name]?.rollbackReplication !== undefined);
  if (kept.length > 0) refuse("cancel", `${kept.join(", ")} has been cut over; set rollback to return, or to drop`);
  if (after.cancel && !before.cancel && state === "Succeeded")
    refuse("cancel", "the migration has succeeded: there is nothing to cancel; remove it");
  const phases = Object.values(dbDetails).map(({ migrationOperation }) => migrationOperation);
  if (isUnderWay(before, state, phases))
    for (const property of differingCopyInputs(before, after)) refuse(property, `${fixedReason}; ${fixedRemedy}`);
  const replicated = removedDatabases({ before, after }).filter((name) => isReplicated(dbDetails[name]));
  if (replicated.length > 0)
    refuse(
      "dbsToMigrate",
      `${replicated.join(", ")} is replicated; list it in dbsToCancelMigrationOn with cancel set to true first`,
    );
  return failures;
}

const isReplicated = (details: DatabaseDetails | undefined): boolean =>
  details !== undefined &&
  (["following", "completing"].includes(details.migrationOperation) || details.rollbackReplication !== undefined);

/** A lost worker's cutover can be reverted until the first database reaches its clean-up. */
function isCuttingOver({ worker, currentSubStateDetails: { currentSubState, dbDetails } }: MigrationStatus): boolean {
  if (worker.state !== "lost") return currentSubState === "CompletingMigration";
  return Object.values(dbDetails).some(({ migrationOperation }) => migrationOperation === "completing");
}
