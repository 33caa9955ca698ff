import { understandInputs } from "../inputs/check-inputs.js";
import type { Inputs } from "../inputs/inputs.js";
import { targetDatabase } from "../inputs/target-database.js";
import { TimeoutError } from "../errors.js";
import type { MigrationStatus } from "../status.js";
import { holdLease } from "../store/lease.js";
import { bumpGeneration, readMigration } from "../store/records.js";
import { Store } from "../store/store.js";
import { stopWorker } from "../supervisor/stop-worker.js";
import type { Report } from "../supervisor/supervise-worker.js";
import { eraseMigration, eraseUnrecorded } from "../worker/cleanup/erase-migration.js";
import { describeOwner, owns } from "./ownership/ownership.js";
import { toStandardError } from "./reach-goal.js";
import { inputsAmong, statusWithin, type Properties } from "./state.js";

/**
 * Stops the worker and removes slot, publications and records. The migrated data stays, and so does a migration that
 * belongs to another resource by now.
 *
 * @throws TimeoutError after `timeouts.delete`; a further try removes the rest
 */
export async function remove(_id: string, props: Properties, note: Report = toStandardError): Promise<void> {
  const inputs = understandInputs(inputsAmong(props));
  const seconds = inputs.timeouts.delete;
  const erasing = erase(inputs, props, note);
  if (seconds === undefined) return erasing;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(
        new TimeoutError(`${inputs.migrationName} could not be removed within ${seconds} s`, {
          remedy: "run pulumi destroy again, which removes the rest, or raise timeouts.delete",
        }),
      );
    }, seconds * 1000);
  });
  try {
    await Promise.race([erasing, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function erase(inputs: Inputs, props: Properties, note: Report): Promise<void> {
  const { migrationName } = inputs;
  const store = await Store.find(inputs, `${migrationName} delete`);
  if (!store) return eraseFromServers(inputs, statusWithin(props)?.state);
  try {
    const record = await readMigration(store, migrationName);
    if (!record) {
      await eraseFromServers(inputs, statusWithin(props)?.state);
      return;
    }
    if (!owns(props, record.owner)) {
      note(
        `${migrationName} is left as it is: it belongs to ${describeOwner(record.owner)} since ${record.owner?.since}`,
      );
      return;
    }
    await eraseRecorded(store, inputs);
  } finally {
    await store.close();
  }
}

/** Erases a migration whose record belongs to the caller. */
export async function eraseRecorded(store: Store, inputs: Inputs): Promise<void> {
  await stopWorker(store, inputs.migrationName);
  await bumpGeneration(store, inputs.migrationName);
  // Held until the store is closed, so that no worker starts on what is being erased.
  await holdLease(store, inputs.migrationName);
  await eraseMigration(store, inputs);
}

/** Without its record, what an online migration has made on the servers is known by name. */
export async function eraseFromServers(inputs: Inputs, known?: MigrationStatus["state"]): Promise<void> {
  if (inputs.migrationMode !== "Online") return;
  const databases = inputs.dbsToMigrate.map((name) => ({ name, targetName: targetDatabase(inputs, name) }));
  await eraseUnrecorded({ ...inputs, databases, hasEnded: known === "Succeeded" || known === "Canceled" });
}
