import { isDeepStrictEqual } from "node:util";
import { RefusedError } from "../errors.js";
import { differingCopyInputs, fixedReason, fixedRemedy, isUnderWay } from "../inputs/copy-inputs.js";
import { specOf, type Inputs, type MigrationSpec } from "../inputs/inputs.js";
import { hasEnded } from "../status.js";
import {
  forgetDatabases,
  isComplete,
  lockMigration,
  readDatabases,
  readMigration,
  restartMigration,
  retryDatabases,
  updateSpec,
  type DatabaseRecord,
  type MigrationRecord,
} from "../store/records.js";
import { allDatabases, setRequests } from "../store/requests.js";
import type { Store } from "../store/store.js";
import { stopWorker } from "../supervisor/stop-worker.js";
import { eraseFences, leaveToUser } from "../worker/cleanup/erase-migration.js";
import { differingIdentity } from "./ownership/identity.js";
import { concernedDatabases } from "./transitions.js";

/**
 * Records the inputs in an existing migration: its spec, its databases, and the requests to its worker.
 *
 * @throws RefusedError when the record belongs to another migration, or an input can no longer change
 */
export async function applyInputs(store: Store, program: Inputs): Promise<void> {
  const name = program.migrationName;
  const found = await readMigration(store, name);
  const foreign = found ? differingIdentity(found.spec, specOf(program)) : [];
  if (!found || foreign.length > 0) throw refuseOther(program, foreign);
  const inputs = withRecordedDatabases(program, found.spec);
  const spec = specOf(inputs);
  await refuseFixed(store, found, spec);
  // A worker has validated the former inputs.
  if (differingCopyInputs(found.spec, spec).length > 0) await stopWorker(store, name);
  await leaveOutDatabases(store, inputs);
  await retryFailed(store, inputs);
  // Includes what a stopped worker reached meanwhile.
  const record = (await readMigration(store, name)) ?? found;
  // One transaction: a worker that read the cutover request before the new spec would cut over with the old spec.
  await store.atOnce(async () => {
    await lockMigration(store, name);
    await recordSpec(store, record, inputs, spec);
    await recordRequests(store, inputs);
  });
}

/** If the program names no databases, the command or the dashboard has named them. */
const withRecordedDatabases = (program: Inputs, { dbsToMigrate, dbsToMigratePatterns }: MigrationSpec): Inputs =>
  program.dbsToMigrate.length > 0 ? program : { ...program, dbsToMigrate, dbsToMigratePatterns };

/**
 * The program's inputs, with the rollback that the command or the dashboard requested since. Only a change of the program
 * replaces that, because the removal of a rollback replication cannot be undone.
 */
export async function withRecordedRollback(
  store: Store,
  before: Inputs | undefined,
  program: Inputs,
  { name, spec, state }: MigrationRecord,
): Promise<Inputs> {
  const wasRollbackChangedElsewhere = spec.rollback !== program.rollback && before?.rollback === program.rollback;
  if (!wasRollbackChangedElsewhere || state === "Canceled") return program;
  const inputs = { ...program, rollback: spec.rollback };
  const isCutOver = (await readDatabases(store, name)).some(({ hasRollbackReplication }) => hasRollbackReplication);
  if (program.triggerCutover || !isCutOver) return inputs;
  // The update waits for what follows the cutover. Databases that the program adds are not cut over.
  const { triggerCutover, dbsToTriggerCutoverOn: listed, dbsToMigrate } = spec;
  return { ...inputs, triggerCutover, dbsToTriggerCutoverOn: listed.length > 0 ? listed : dbsToMigrate };
}

export const refuseOther = (inputs: Inputs, properties: readonly string[]): RefusedError =>
  new RefusedError(
    `the migration ${inputs.migrationName} already exists on ${inputs.target.host}:${inputs.target.port}, with another ${properties.join(", ")}`,
    { remedy: "choose another migrationName, or destroy that migration first" },
  );

/** The preview refuses the same change, if it can read the records. */
async function refuseFixed(
  store: Store,
  { name, spec: before, state }: MigrationRecord,
  after: MigrationSpec,
): Promise<void> {
  const fixed = differingCopyInputs(before, after);
  if (fixed.length === 0) return;
  const phases = (await readDatabases(store, name)).map(({ phase }) => phase);
  if (isUnderWay(before, state, phases))
    throw new RefusedError(`${fixed.join(", ")} of ${name} cannot change: ${fixedReason}`, { remedy: fixedRemedy });
}

export const haveSameMembers = (one: readonly string[], other: readonly string[]): boolean =>
  isDeepStrictEqual([...one].sort(), [...other].sort());

/** A worker does not retry a failed database while it replicates the others; its successor retries all. */
async function retryFailed(store: Store, inputs: Inputs): Promise<void> {
  const { migrationName } = inputs;
  const isFailed = ({ state }: DatabaseRecord): boolean => state === "Failed";
  const failed = cancelsAll(inputs) ? [] : (await readDatabases(store, migrationName)).filter(isFailed);
  if (failed.length === 0) return;
  await stopWorker(store, migrationName);
  await retryDatabases(
    store,
    migrationName,
    failed.map(({ name }) => name),
  );
}

async function recordSpec(store: Store, record: MigrationRecord, inputs: Inputs, spec: MigrationSpec): Promise<void> {
  const { state } = record;
  // A failed migration keeps its slots, and a worker has to remove them.
  if (hasEnded(state) && state !== "Failed" && cancelsAll(inputs)) return;
  const isTakenBack = state === "Canceled" && inputs.rollback === "return";
  if (hasEnded(state) && !isTakenBack && !isDone(record, spec)) await restartMigration(store, spec);
  else await updateSpec(store, spec);
}

/** Whether an ended migration has nothing to do for this spec. A completed database is never copied again. */
function isDone(record: MigrationRecord, spec: MigrationSpec): boolean {
  if (record.state !== "Succeeded") return false;
  const onlyValidated = record.spec.migrationOption === "Validate" && spec.migrationOption !== "Validate";
  return !onlyValidated && spec.dbsToMigrate.every((database) => record.spec.dbsToMigrate.includes(database));
}

/** Removes databases from the record that the inputs no longer list. Their data on the target stays. */
async function leaveOutDatabases(store: Store, inputs: Inputs): Promise<void> {
  const { migrationName, dbsToMigrate } = inputs;
  const left = (await readDatabases(store, migrationName)).filter(({ name }) => !dbsToMigrate.includes(name));
  const busy = left
    .filter(({ slot, hasRollbackReplication }) => slot !== undefined || hasRollbackReplication)
    .map(({ name }) => name);
  if (busy.length > 0)
    throw new RefusedError(`${busy.join(", ")} cannot be removed from dbsToMigrate while it is replicated`, {
      remedy: "list it in dbsToCancelMigrationOn with cancel set to true first",
    });
  for (const database of left) {
    await eraseFences(store, inputs, database);
    if (!isComplete(database.phase)) await leaveToUser(store, inputs, database);
  }
  await forgetDatabases(
    store,
    migrationName,
    left.map(({ name }) => name),
  );
}

/** What the inputs request from the worker. */
type Switches = Pick<
  Inputs,
  "migrationName" | "triggerCutover" | "dbsToTriggerCutoverOn" | "cancel" | "dbsToCancelMigrationOn"
>;

export const cancelsAll = (inputs: Switches): boolean => inputs.cancel && inputs.dbsToCancelMigrationOn.length === 0;

/** Records the switches as requests to the worker: for the listed databases, or for all if none is listed. */
export async function recordRequests(store: Store, inputs: Switches): Promise<void> {
  const cutover = concernedDatabases(inputs.triggerCutover, inputs.dbsToTriggerCutoverOn, [allDatabases]);
  const cancel = concernedDatabases(inputs.cancel, inputs.dbsToCancelMigrationOn, [allDatabases]);
  await Promise.all([
    setRequests(store, inputs.migrationName, "cutover", cutover),
    setRequests(store, inputs.migrationName, "cancel", cancel),
  ]);
}
