import { InvalidInputError, messageOf, RefusedError } from "../errors.js";
import { certificateFailures } from "../inputs/certificates.js";
import { parseInputs } from "../inputs/check-inputs.js";
import { specOf, type Inputs } from "../inputs/inputs.js";
import { refuseUsedDatabases, replacedDatabases } from "../schema/database/used-databases.js";
import { hasEnded } from "../status.js";
import { markOwnerInState, type RecordOwner } from "../store/record-owner.js";
import {
  hasObjectsOnSource,
  insertMigration,
  readDatabases,
  readMigration,
  type MigrationRecord,
} from "../store/records.js";
import { type SessionCheck, withExistingStore, withStore, type Store } from "../store/store.js";
import type { Report } from "../supervisor/supervise-worker.js";
import { refuseTransactionPooler } from "../validation/servers/pooler.js";
import { adoptRecord } from "./ownership/adopt-record.js";
import { recordRequests } from "./apply-inputs.js";
import { resolveDatabases } from "./databases/resolve-databases.js";
import { eraseRecorded } from "./delete.js";
import { differingIdentity } from "./ownership/identity.js";
import { isInterruptedCreate, mayTakeOver, ownerFor } from "./ownership/ownership.js";
import { MigrationIncompleteError, reachGoal, toStandardError } from "./reach-goal.js";
import { idOf, inputsAmong, inputsWithin, tokenWithin, type Properties } from "./state.js";

/**
 * Records the spec, starts a worker and watches it until the goal of `waitFor`. By default the goal of an offline migration is
 * success, and that of an online one is the wait for the cutover. Any state in which the user must act is also a goal.
 *
 * @param report takes progress, one line that replaces the previous one
 * @param note takes information about an existing record
 * @throws InvalidInputError, RefusedError, UnreachableError when nothing was recorded
 * @throws MigrationIncompleteError when the migration exists and has not reached its goal
 */
export async function create(
  given: Properties,
  report: Report,
  note: Report = toStandardError,
): Promise<{ id: string; outs: Properties }> {
  const raw = await resolveDatabases({}, given, note);
  const inputs = parseInputs(inputsAmong(raw));
  const unreadable = certificateFailures(inputs);
  if (unreadable.length > 0) throw new InvalidInputError(unreadable);
  const owner = ownerFor(inputsAmong(raw));
  if (inputs.onExistingRecord === "restart") await eraseEnded(inputs, owner, note);
  const record = async (store: Store): Promise<void> => {
    if (await insertMigration(store, specOf(inputs), owner)) await recordRequests(store, inputs);
    else await adoptRecord(store, inputs, owner, note);
  };
  await withStore(inputs, `${inputs.migrationName} create`, record, notPooled(inputs));
  const { token: ownershipToken } = owner;
  const id = idOf(inputs);
  try {
    const outs = await reachGoal({ raw, inputs, ownershipToken, report, timeoutSeconds: inputs.timeouts.create });
    return { id, outs };
  } catch (error) {
    if (error instanceof MigrationIncompleteError) throw error;
    // The records cannot be read. The migration is recorded nevertheless, and pulumi destroy must remove it.
    throw new MigrationIncompleteError(id, { ...inputsAmong(raw), ownershipToken }, messageOf(error), error);
  }
}

const notPooled =
  ({ target }: Inputs): SessionCheck =>
  (session) =>
    refuseTransactionPooler(target, session);

/** Implements `onExistingRecord: "restart"`. The record of an interrupted `create` is not restarted. */
function eraseEnded(inputs: Inputs, owner: RecordOwner, note: Report): Promise<void> {
  const erase = async (store: Store | undefined): Promise<void> => {
    const record = store && (await readMigration(store, inputs.migrationName));
    if (!record || !hasEnded(record.state) || isInterruptedCreate(record.owner, owner)) return;
    // Its owner may resume a failed migration, whose slots still retain the changes.
    if (record.state === "Failed" && !mayTakeOver(record.owner, owner)) return;
    await refuseFormerSource(store, record, inputs);
    await refuseUsedDatabases(store.client, replacedDatabases(inputs));
    await eraseRecorded(store, inputs, record);
    note(`erased the record of ${inputs.migrationName}, which had ended as ${record.state}, to start it again`);
  };
  return withExistingStore(inputs, `${inputs.migrationName} restart`, erase, notPooled(inputs));
}

/** Without its record, nothing would name what is left on the former source. @throws RefusedError */
async function refuseFormerSource(store: Store, { name, state, spec }: MigrationRecord, inputs: Inputs): Promise<void> {
  if (!differingIdentity(spec, specOf(inputs)).includes("source")) return;
  const left = (await readDatabases(store, name)).filter(hasObjectsOnSource);
  if (left.length === 0) return;
  const source = `${spec.source.host}:${spec.source.port}`;
  throw new RefusedError(
    `the migration ${name}, which has ended (${state}), left replication objects or a fence on its former source ${source}: ${left.map((one) => one.name).join(", ")}`,
    {
      remedy: `remove them with the login of ${source}: pg-migration delete --name ${name}; then run pulumi up again. Until then, its slots retain WAL`,
    },
  );
}

/**
 * Records that Pulumi's state contains these outputs. Call it after the engine has received them: a record without this
 * mark belongs to an interrupted `create`.
 */
export async function confirmCreated(outputs: Properties): Promise<void> {
  const inputs = inputsWithin(outputs);
  const token = tokenWithin(outputs);
  if (!inputs || token === undefined) return;
  await withExistingStore(
    inputs,
    `${inputs.migrationName} confirm`,
    (store) => store && markOwnerInState(store, inputs.migrationName, token),
  );
}
