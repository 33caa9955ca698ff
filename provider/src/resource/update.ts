import { isDeepStrictEqual } from "node:util";
import { engineVersion } from "../engine-version.js";
import { RefusedError } from "../errors.js";
import { parseInputs } from "../inputs/check-inputs.js";
import { copyInputsOf } from "../inputs/copy-inputs.js";
import { specOf, type Inputs } from "../inputs/inputs.js";
import { holdLease } from "../store/lease.js";
import { readStatus } from "../store/read-status.js";
import { transferOwnership, type RecordOwner } from "../store/record-owner.js";
import {
  insertMigration,
  readDatabases,
  readMigration,
  recopyDatabases,
  reviveDatabases,
  type MigrationRecord,
} from "../store/records.js";
import { withStore, type Store } from "../store/store.js";
import { stopWorker } from "../supervisor/stop-worker.js";
import type { Report } from "../supervisor/supervise-worker.js";
import { eraseFences } from "../worker/cleanup/erase-migration.js";
import { dropSourceObjects } from "../worker/cleanup/source-objects.js";
import { applyInputs, cancelsAll, haveSameMembers, withRecordedRollback } from "./apply-inputs.js";
import { resolveDatabases } from "./databases/resolve-databases.js";
import { eraseFromServers } from "./delete.js";
import { readSourceObjects } from "./source-objects.js";
import { differingIdentity } from "./ownership/identity.js";
import { olderRecord } from "./ownership/older-record.js";
import { describeOwner, formerOwnerRemedy, ownerFor, owns } from "./ownership/ownership.js";
import { refuseDatabasesInUse } from "./refuse-databases-in-use.js";
import { reachGoal, toStandardError } from "./reach-goal.js";
import {
  inputsAmong,
  inputsWithin,
  outputsOf,
  statusWithin,
  tokenWithin,
  urnWithin,
  type Properties,
} from "./state.js";

/**
 * Applies changed inputs to an existing migration: a cutover, another attempt, a successor for a lost worker. Lost
 * objects on a server are repaired, or the database is started again.
 *
 * @param report takes progress, one line that replaces the previous one
 * @param note takes lost objects and what the update does about them
 */
export const update = (
  olds: Properties,
  given: Properties,
  report: Report,
  note: Report = toStandardError,
): Promise<{ outs: Properties }> => change(olds, given, { report, note, isInState: true });

/** Like {@link update}, for another attempt of a creation: Pulumi's state does not contain the ownership token yet. */
export const createAgain = (
  olds: Properties,
  given: Properties,
  report: Report,
  note: Report,
): Promise<{ outs: Properties }> => change(olds, given, { report, note, isInState: false });

interface Operation {
  readonly report: Report;
  readonly note: Report;
  /** Whether Pulumi's state contains the ownership token. */
  readonly isInState: boolean;
}

async function change(
  olds: Properties,
  given: Properties,
  { report, note, isInState }: Operation,
): Promise<{ outs: Properties }> {
  const raw = await resolveDatabases(olds, given, note);
  const program = parseInputs(inputsAmong(raw));
  refuseOtherMigration(olds, program);
  const owner = { ...ownerFor({ ...inputsAmong(raw), ownershipToken: tokenWithin(olds) }), isInState };
  let inputs = program;
  const ended = await withStore(program, `${program.migrationName} update`, async (store) => {
    const record = await readMigration(store, program.migrationName);
    if (record) inputs = await withRecordedRollback(store, inputsWithin(olds), program, record);
    if (inputs.rollback !== program.rollback)
      note(`rollback stays ${inputs.rollback}, as the command or the dashboard requested; change it there`);
    const before = statusWithin(olds);
    if (!record && before?.state === "Succeeded" && !isFirstMigration(olds, inputs)) {
      refuseAddedDatabases(olds, inputs);
      return before;
    }
    if (record) await updateRecorded(store, record, { olds: withUrn(olds, raw), inputs, owner, note });
    else {
      if (inputs.overwriteDbsInTarget && !isFirstMigration(olds, inputs))
        await refuseDatabasesInUse(inputs, {
          what: `the record of ${inputs.migrationName} is missing`,
        });
      await startAgain(store, inputs, owner, note);
    }
    await applyInputs(store, inputs);
    if (inputs.fence === "none") await liftFences(store, inputs);
    return undefined;
  });
  if (ended) return { outs: outputsOf(raw, inputs, owner.token, ended) };
  const { token: ownershipToken } = owner;
  return {
    outs: await reachGoal({ raw, inputs, ownershipToken, report, timeoutSeconds: inputs.timeouts.update }),
  };
}

/** The state of an earlier version has no URN. */
const withUrn = (olds: Properties, news: Properties): Properties =>
  urnWithin(olds) === undefined ? { ...olds, resourceUrn: news.resourceUrn } : olds;

/** Patterns that the preview could not resolve hide from it that another migration is described, which needs a replacement. */
function refuseOtherMigration(olds: Properties, inputs: Inputs): void {
  const before = inputsWithin(olds);
  const differing = before ? differingIdentity(before, inputs) : [];
  if (differing.length === 0) return;
  throw new RefusedError(
    `${differing.join(", ")} of ${inputs.migrationName} changed, but the databases that dbsToMigrate selects could not be read in time to plan a replacement`,
    { remedy: "run pulumi up again, or change dbsToMigrate in an update of its own" },
  );
}

/** Whether only a validation has succeeded until now. */
const isFirstMigration = (olds: Properties, { migrationOption }: Inputs): boolean =>
  inputsWithin(olds)?.migrationOption === "Validate" && migrationOption !== "Validate";

/**
 * After a success, a missing record does not start the migration again, because a copy would overwrite later writes.
 *
 * @throws RefusedError when a database was added, which cannot be migrated without the others
 */
function refuseAddedDatabases(olds: Properties, { migrationName, dbsToMigrate }: Inputs): void {
  const before = inputsWithin(olds)?.dbsToMigrate;
  const added = before ? dbsToMigrate.filter((database) => !before.includes(database)) : [];
  if (added.length === 0) return;
  throw new RefusedError(
    `${added.join(", ")} cannot be added: the record of ${migrationName}, which has succeeded, is missing on the target`,
    { remedy: `take the change back, and migrate ${added.join(", ")} with another PgMigration` },
  );
}

interface Update {
  readonly olds: Properties;
  readonly inputs: Inputs;
  readonly owner: RecordOwner;
  readonly note: Report;
}

/** Prepares a recorded migration for the new inputs. @throws RefusedError when it belongs to another resource */
async function updateRecorded(store: Store, record: MigrationRecord, update: Update): Promise<void> {
  const { olds, inputs } = update;
  if (!owns(olds, record.owner))
    throw new RefusedError(
      `the migration ${record.name} belongs to ${describeOwner(record.owner)} since ${record.owner?.since}`,
      { remedy: formerOwnerRemedy(olds, record.owner) },
    );
  const older = olderRecord({ spec: record.spec, databases: await readDatabases(store, record.name) }, olds);
  if (older) throw older;
  await claim(store, record, update);
  // After success, a program may drop its lists without reviving databases that were canceled before.
  const revived = record.state === "Succeeded" ? [] : revivedDatabases(inputsWithin(olds), inputs);
  if (revived.length > 0 || (await needsAnotherWorker(store, olds, inputs))) await stopWorker(store, record.name);
  await reviveDatabases(store, record.name, revived);
  if (!inputs.cancel) await recopyLost(store, record, update);
}

/** The command has no URN and no token: it does not change the owner. */
async function claim(
  store: Store,
  { name, owner: present }: MigrationRecord,
  { olds, owner, note }: Update,
): Promise<void> {
  const isCommand = owner.urn === undefined && tokenWithin(olds) === undefined;
  const isConfirmed = present?.isInState === true || !owner.isInState;
  if (isCommand || (present?.token === owner.token && present.urn === owner.urn && isConfirmed)) return;
  await transferOwnership(store, name, owner);
  if (present && present.token !== owner.token) note(`took over the migration ${name} of ${describeOwner(present)}`);
}

/** Starts a migration whose record is missing on the target. Its objects on the source are found by name. */
async function startAgain(store: Store, inputs: Inputs, owner: RecordOwner, note: Report): Promise<void> {
  const { migrationName } = inputs;
  note(`the record of ${migrationName} is missing on the target: the migration starts again, and copies everything`);
  // A worker of the erased record ends within a second.
  await holdLease(store, migrationName);
  await eraseFromServers(inputs);
  await insertMigration(store, specOf(inputs), owner);
}

/** Restarts databases whose slot or publication is missing. */
async function recopyLost(store: Store, record: MigrationRecord, { inputs, note }: Update): Promise<void> {
  const lost = (await readSourceObjects(store, inputs, record.state)).filter(({ loss }) => loss !== undefined);
  if (lost.length === 0) return;
  await refuseDatabasesInUse(inputs, {
    dbsToMigrate: lost.map(({ database }) => database),
    what: `a slot or publication of ${record.name} is missing on ${inputs.source.host}:${inputs.source.port}`,
  });
  await stopWorker(store, record.name);
  for (const { database, loss } of lost) {
    note(`${database}: ${loss!}`);
    await dropSourceObjects(inputs.source, inputs, database);
  }
  await recopyDatabases(
    store,
    record.name,
    lost.map(({ database }) => database),
  );
}

/** Databases whose individual cancel was withdrawn: they start from scratch, with a new worker. */
function revivedDatabases(before: Inputs | undefined, after: Inputs): readonly string[] {
  if (!before?.cancel || cancelsAll(after)) return [];
  return before.dbsToCancelMigrationOn.filter((name) => !after.dbsToCancelMigrationOn.includes(name));
}

/** A running worker keeps its credentials, code and validated inputs. */
async function needsAnotherWorker(store: Store, olds: Properties, inputs: Inputs): Promise<boolean> {
  const before = inputsWithin(olds);
  const startedWith = (one: Inputs): unknown => [
    ...[one.source, one.target, one.webhook, one.reconnectFor],
    copyInputsOf(one),
  ];
  if (!before || !isDeepStrictEqual(startedWith(before), startedWith(inputs))) return true;
  // While no database is listed, the worker waits for the list. A later change of it needs a new worker.
  if (before.dbsToMigrate.length > 0 && !haveSameMembers(before.dbsToMigrate, inputs.dbsToMigrate)) return true;
  const worker = (await readStatus(store, inputs.migrationName))?.worker;
  return worker?.state === "running" && worker.version !== engineVersion;
}

/** Removes the fences that stay after the cutover. Until then the worker manages them. */
async function liftFences(store: Store, inputs: Inputs): Promise<void> {
  for (const database of await readDatabases(store, inputs.migrationName))
    if (database.phase === "done") await eraseFences(store, inputs, database);
}
