import { withTimeout } from "../async/with-timeout.js";
import { understandInputs } from "../inputs/check-inputs.js";
import type { Inputs } from "../inputs/inputs.js";
import { targetDatabase } from "../inputs/target-database.js";
import { RefusedError, TimeoutError } from "../errors.js";
import type { MigrationStatus } from "../status.js";
import { holdLease } from "../store/lease.js";
import { bumpGeneration, readMigrationState, type MigrationRecord } from "../store/records.js";
import { withExistingStore, type Store } from "../store/store.js";
import { stopWorker } from "../supervisor/stop-worker.js";
import type { Report } from "../supervisor/supervise-worker.js";
import { eraseMigration, eraseUnrecorded } from "../worker/cleanup/erase-migration.js";
import { describeOwner, hasSameUrn, owns } from "./ownership/ownership.js";
import { reportBeforeErasure } from "../report/report-end.js";
import { toStandardError } from "./reach-goal.js";
import { inputsAmong, statusWithin, type Properties, wasNeverRecorded } from "./state.js";

/**
 * Stops the worker and removes slot, publications and records. The migrated data stays, and so does a migration that
 * now belongs to another resource.
 *
 * @throws TimeoutError after `timeouts.delete`; another attempt removes the rest
 */
export async function remove(props: Properties, note: Report = toStandardError): Promise<void> {
  const inputs = understandInputs(inputsAmong(props));
  const seconds = inputs.timeouts.delete;
  const erased = erase(inputs, props, note).then(() => true);
  if (await (seconds === undefined ? erased : withTimeout(erased, seconds * 1000))) return;
  throw new TimeoutError(`${inputs.migrationName} could not be removed within ${seconds} s`, {
    remedy: "run pulumi destroy again, which removes the rest, or raise timeouts.delete",
  });
}

const erase = (inputs: Inputs, props: Properties, note: Report): Promise<void> =>
  withExistingStore(inputs, `${inputs.migrationName} delete`, async (store) => {
    const record = store && (await readMigrationState(store, inputs.migrationName));
    const isUnrecorded = wasNeverRecorded(props);
    if (!record) return isUnrecorded ? undefined : eraseFromServers(inputs, statusWithin(props)?.state);
    // The creation may have failed because the record belongs to the command, or to a resource of unknown name.
    const isOwn = isUnrecorded ? hasSameUrn(props, record.owner) : owns(props, record.owner);
    if (isOwn) {
      await reportBeforeErasure(store, inputs, note);
      return eraseRecorded(store, inputs, record);
    }
    const owner = `${describeOwner(record.owner)} since ${record.owner?.since}`;
    note(`${inputs.migrationName} is not removed: it belongs to ${owner}`);
  });

/**
 * Removes a migration whose record belongs to the caller.
 *
 * @param record as the caller has read it
 * @throws RefusedError when another operation has adopted the migration or started it again since then
 */
export async function eraseRecorded(
  store: Store,
  inputs: Inputs,
  record: Pick<MigrationRecord, "startedAt" | "owner">,
): Promise<void> {
  // First, because the worker of another owner must not be stopped.
  await refuseChanged(store, inputs, record);
  await stopWorker(store, inputs.migrationName);
  // Sent in this order. The lease is held until the store is closed, so that no worker starts during the removal.
  await Promise.all([bumpGeneration(store, inputs.migrationName), holdLease(store, inputs.migrationName)]);
  await refuseChanged(store, inputs, record);
  await eraseMigration(store, inputs);
}

/** @throws RefusedError if another resource has adopted the migration or started it again */
async function refuseChanged(
  store: Store,
  { migrationName }: Inputs,
  record: Pick<MigrationRecord, "startedAt" | "owner">,
): Promise<void> {
  const now = await readMigrationState(store, migrationName);
  if (!now || (now.startedAt === record.startedAt && now.owner?.token === record.owner?.token)) return;
  throw new RefusedError(
    `${migrationName} is not removed: ${describeOwner(now.owner)} has taken it over or started it again meanwhile`,
    { remedy: "run pulumi refresh to see which resource owns the migration" },
  );
}

/** Without the record, the objects of an online migration on the servers are found by their names. */
export async function eraseFromServers(inputs: Inputs, known?: MigrationStatus["state"]): Promise<void> {
  if (inputs.migrationMode !== "Online") return;
  const databases = inputs.dbsToMigrate.map((name) => ({ name, targetName: targetDatabase(inputs, name) }));
  await eraseUnrecorded({ ...inputs, databases, hasEnded: known === "Succeeded" || known === "Canceled" });
}
