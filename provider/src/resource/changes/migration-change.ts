import type { MigrationSpec } from "../../inputs/inputs.js";

/** Inputs that command and dashboard change, under the names of the resource. */
export type MigrationChange = Partial<
  Pick<
    MigrationSpec,
    | "triggerCutover"
    | "dbsToTriggerCutoverOn"
    | "cancel"
    | "dbsToCancelMigrationOn"
    | "verifyNow"
    | "rollback"
    | "dbsToMigrate"
    | "dbsToMigratePatterns"
    | "setupLogicalReplicationOnSourceDbIfNeeded"
    | "overwriteDbsInTarget"
    | "startDataMigration"
    | "migrationWindowStartTimeInUtc"
    | "migrationWindowEndTimeInUtc"
    | "cutoverWindow"
    | "maxCopyRate"
    | "maxReplicaLag"
    | "schemaChanges"
    | "applySessions"
  >
>;

/** A spec with a change. Cutovers and cancellations of single databases add up. */
export function changedSpec(spec: MigrationSpec, change: MigrationChange): MigrationSpec {
  const cutover = listWith(spec.triggerCutover, spec.dbsToTriggerCutoverOn, change.dbsToTriggerCutoverOn);
  const canceled = listWith(spec.cancel, spec.dbsToCancelMigrationOn, change.dbsToCancelMigrationOn);
  const changed = {
    ...spec,
    ...change,
    ...(change.triggerCutover ? { dbsToTriggerCutoverOn: cutover } : {}),
    ...(change.cancel ? { dbsToCancelMigrationOn: canceled } : {}),
  };
  // A canceled migration is not cut over.
  const isCanceled = changed.cancel && changed.dbsToCancelMigrationOn.length === 0;
  if (!isCanceled) return changed;
  // Databases that were returned are not affected.
  const rollback = changed.rollback === "return" ? "drop" : changed.rollback;
  return { ...changed, triggerCutover: false, dbsToTriggerCutoverOn: [], rollback };
}

/** An empty list means all databases. */
function listWith(isOn: boolean, before: readonly string[], added: readonly string[] = []): string[] {
  if (!isOn) return [...added];
  return before.length === 0 || added.length === 0 ? [] : [...new Set([...before, ...added])];
}
