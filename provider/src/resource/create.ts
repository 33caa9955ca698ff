import { InvalidInputError } from "../errors.js";
import { certificateFailures } from "../inputs/certificates.js";
import { parseInputs } from "../inputs/check-inputs.js";
import { specOf, type Inputs } from "../inputs/inputs.js";
import { hasEnded } from "../status.js";
import { markOwnerInState, type RecordOwner } from "../store/record-owner.js";
import { insertMigration, readMigration } from "../store/records.js";
import { Store } from "../store/store.js";
import type { Report } from "../supervisor/supervise-worker.js";
import { refuseTransactionPooler } from "../validation/servers/pooler.js";
import { adoptRecord } from "./ownership/adopt-record.js";
import { recordRequests } from "./apply-inputs.js";
import { eraseRecorded } from "./delete.js";
import { isInterruptedCreate, ownerFor } from "./ownership/ownership.js";
import { reachGoal, toStandardError } from "./reach-goal.js";
import { idOf, inputsAmong, inputsWithin, tokenWithin, type Properties } from "./state.js";

/**
 * Records the spec, starts a worker and watches it until the goal of `waitFor`. By default the goal is success for an
 * offline migration, the wait for the cutover for an online one, and any state in which the user must act.
 *
 * @param report takes progress, one line that replaces the previous one
 * @param note takes information about an existing record
 * @throws InvalidInputError, RefusedError, UnreachableError when nothing was recorded
 * @throws MigrationIncompleteError when the migration exists and has not reached its goal
 */
export async function create(
  raw: Properties,
  report: Report,
  note: Report = toStandardError,
): Promise<{ id: string; outs: Properties }> {
  const inputs = parseInputs(inputsAmong(raw));
  const unreadable = certificateFailures(inputs);
  if (unreadable.length > 0) throw new InvalidInputError(unreadable);
  await refuseTransactionPooler(inputs.target, inputs.maintenanceDatabase);
  const owner = ownerFor(inputsAmong(raw));
  if (inputs.onExistingRecord === "restart") await eraseEnded(inputs, owner, note);
  const store = await Store.open(inputs, `${inputs.migrationName} create`);
  try {
    if (await insertMigration(store, specOf(inputs), owner)) await recordRequests(store, inputs);
    else await adoptRecord(store, inputs, owner, note);
  } finally {
    await store.close();
  }
  const { token: ownershipToken } = owner;
  const outs = await reachGoal({ raw, inputs, ownershipToken, report, timeoutSeconds: inputs.timeouts.create });
  return { id: idOf(inputs), outs };
}

/** Implements `onExistingRecord: "restart"`. The record of an interrupted `create` is not restarted. */
async function eraseEnded(inputs: Inputs, owner: RecordOwner, note: Report): Promise<void> {
  const store = await Store.find(inputs, `${inputs.migrationName} restart`);
  if (!store) return;
  try {
    const record = await readMigration(store, inputs.migrationName);
    if (!record || !hasEnded(record.state) || isInterruptedCreate(record.owner, owner)) return;
    await eraseRecorded(store, inputs);
    note(`erased the record of ${inputs.migrationName}, which had ended as ${record.state}, to start it again`);
  } finally {
    await store.close();
  }
}

/**
 * Records that Pulumi's state contains these outputs. Call it after the engine has received them: a record without this
 * mark belongs to an interrupted `create`.
 */
export async function confirmCreated(outputs: Properties): Promise<void> {
  const inputs = inputsWithin(outputs);
  const token = tokenWithin(outputs);
  if (!inputs || token === undefined) return;
  const store = await Store.find(inputs, `${inputs.migrationName} confirm`);
  try {
    if (store) await markOwnerInState(store, inputs.migrationName, token);
  } finally {
    await store?.close();
  }
}
