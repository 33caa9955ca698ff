import { isDeepStrictEqual } from "node:util";
import { checkInputs, parseInputs, understandInputs, type InputFailure } from "./inputs/check-inputs.js";
import { engineVersion } from "./engine-version.js";
import { Refused, TimedOut, messageOf } from "./errors.js";
import { differingIdentity } from "./resource/ownership/identity.js";
import { inputsSchema, publicEndpoint, wishOf, type Inputs, type Wish } from "./inputs/inputs.js";
import {
  failedDatabases,
  hasEnded,
  type MigrationStatus,
  type ServerMetadata,
  type TargetConnection,
} from "./status.js";
import { readStatus } from "./store/read-status.js";
import { holdLease } from "./store/lease.js";
import {
  fenceWorkers,
  forgetDatabases,
  insertMigration,
  readDatabases,
  readMigration,
  restartMigration,
  retryDatabases,
  reviveDatabases,
  updateWish,
  type DatabaseRecord,
  type MigrationRecord,
} from "./store/records.js";
import { everyDatabase, setRequests } from "./store/requests.js";
import { Store } from "./store/store.js";
import { targetDatabase } from "./inputs/target-database.js";
import { dependsOnState, impossibleTransitions } from "./resource/transitions.js";
import { refuseTransactionPooler } from "./validation/servers/pooler.js";
import { eraseFences, eraseMigration, eraseUnrecorded } from "./worker/cleanup/erase-migration.js";
import { goalOf } from "./supervisor/wait-target.js";
import { stopWorker } from "./supervisor/stop-worker.js";
import { superviseWorker, type Report } from "./supervisor/supervise-worker.js";

/**
 * What Pulumi asks of a dynamic provider. Inputs and outputs are plain values; `olds` of check are old inputs, those of
 * diff and update old outputs. Inputs stay in the state under the keys that the program used, so that a secret stays one.
 */
type Properties = Record<string, unknown>;

/** What the state keeps beside the inputs. */
export interface Outputs {
  readonly currentStatus: MigrationStatus;
  readonly migrationId: string;
  readonly targetConnection: TargetConnection;
  readonly sourceDbServerMetadata?: ServerMetadata;
  readonly targetDbServerMetadata?: ServerMetadata;
}

export interface CheckAnswer {
  readonly inputs: Properties;
  readonly failures: InputFailure[];
}

/**
 * Checks inputs and fills in defaults; values that a preview does not know yet are let through. What the migration's state
 * forbids is looked up on the target, only when such a change is asked for.
 */
export async function check(olds: Properties, news: Properties): Promise<CheckAnswer> {
  const { __provider, ...own } = news;
  const { declared, inputs, failures } = checkInputs(own);
  const filled: Properties = declared ? plain(declared) : own;
  const forbidden = inputs ? await forbiddenByState(olds, inputs) : [];
  return {
    inputs: __provider === undefined ? filled : { ...filled, __provider },
    failures: [...failures, ...forbidden],
  };
}

async function forbiddenByState(olds: Properties, after: Inputs): Promise<InputFailure[]> {
  const before = inputsWithin(olds);
  if (!before || before.migrationName !== after.migrationName || !dependsOnState({ before, after })) return [];
  const status = await glance(before);
  return status ? impossibleTransitions({ before, after }, status) : [];
}

/** Properties that only concern the machine that the program runs on, or how long it looks on. */
const unrecorded = ["__provider", "resourceUrn", "timeouts", "waitFor"];

export interface DiffAnswer {
  readonly changes: boolean;
  readonly replaces?: string[];
  readonly deleteBeforeReplace?: boolean;
}

/**
 * What a change of inputs asks for. A migration in need of a worker that has none, or one that failed, as a whole or in
 * one of its databases, is a change too: update puts it right. Where nothing else has changed, the store is asked how the
 * migration is.
 */
export async function diff(_id: string, olds: Properties, news: Properties): Promise<DiffAnswer> {
  const before = inputsWithin(olds);
  const after = inputsWithin(news);
  const replaces = before && after ? differingIdentity(before, after) : [];
  // The name is unique on the target: the old migration's record must go before the new one's comes.
  if (replaces.length > 0) return { changes: true, replaces, deleteBeforeReplace: true };
  const changed = Object.keys(inputsSchema.shape).some(
    (key) => !unrecorded.includes(key) && !isDeepStrictEqual(olds[key], news[key]),
  );
  if (changed || !after) return { changes: changed };
  const known = statusWithin(olds);
  if (isSettled(known, after)) return { changes: false };
  return { changes: needsAttention((await glance(after)) ?? known, after) };
}

/** Nothing will change here any more but by the user's wish. */
const isSettled = (status: MigrationStatus | undefined, inputs: Inputs): boolean =>
  status?.state === "Succeeded" ||
  (status?.state === "Canceled" &&
    (inputs.cancel || inputs.rollback === "return" || inputs.onMaxRetainedWal === "cancel"));

function needsAttention(status: MigrationStatus | undefined, inputs: Inputs): boolean {
  if (!status || isSettled(status, inputs)) return false;
  const awaitsAnotherTry = hasEnded(status.state) || failedDatabases(status).length > 0;
  return awaitsAnotherTry || (status.worker.state === "lost" && inputs.runner === "local");
}

const glanceMs = 8000;

/** The migration's status as the store has it, where it answers soon; undefined otherwise. Never throws. */
async function glance(inputs: Inputs): Promise<MigrationStatus | undefined> {
  const looking = lookUp(inputs, "glance").catch(() => undefined);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, glanceMs, undefined);
  });
  try {
    return await Promise.race([looking, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function lookUp(inputs: Inputs, purpose: string): Promise<MigrationStatus | undefined> {
  const store = await Store.find(inputs, `${inputs.migrationName} ${purpose}`);
  if (!store) return undefined;
  try {
    return await readStatus(store, inputs.migrationName);
  } finally {
    await store.close();
  }
}

/**
 * Records the wish, starts a worker and follows it as far as `waitFor` says; by default an offline migration until it has
 * succeeded, an online one until it waits for its cutover, and any until it is the user's turn. A migration of the same
 * name that wants the same is adopted.
 *
 * @throws InvalidInput, Refused, Unreachable when nothing was recorded; MigrationIncomplete when the migration exists and
 * has not reached its goal
 */
export async function create(raw: Properties, report: Report): Promise<{ id: string; outs: Properties }> {
  const inputs = parseInputs(inputsAmong(raw));
  await refuseTransactionPooler(inputs.target, inputs.maintenanceDatabase);
  const store = await Store.open(inputs, `${inputs.migrationName} create`);
  try {
    if (await insertMigration(store, wishOf(inputs))) await recordRequests(store, inputs);
    else await adopt(store, inputs);
  } finally {
    await store.close();
  }
  return { id: idOf(inputs), outs: await reachGoal(raw, inputs, report, inputs.timeouts.create) };
}

/** Brings a migration that exists to what is wanted now: a cutover, another try, a successor for a lost worker. */
export async function update(
  _id: string,
  olds: Properties,
  raw: Properties,
  report: Report,
): Promise<{ outs: Properties }> {
  const inputs = parseInputs(inputsAmong(raw));
  const store = await Store.open(inputs, `${inputs.migrationName} update`);
  try {
    const record = await readMigration(store, inputs.migrationName);
    if (!record) {
      // Its record was cleaned away after the end: that is no wish to migrate again, over what has been written since.
      const before = statusWithin(olds);
      if (before?.state === "Succeeded") return { outs: outputsOf(raw, inputs, before) };
      await insertMigration(store, wishOf(inputs));
    }
    // A program that is tidied up after the end does not ask for what was left out until then.
    const revived = record?.state === "Succeeded" ? [] : revivedDatabases(inputsWithin(olds), inputs);
    if (revived.length > 0 || (await needsAnotherWorker(store, olds, inputs)))
      await stopWorker(store, inputs.migrationName);
    await reviveDatabases(store, inputs.migrationName, revived);
    await goOn(store, inputs);
    if (inputs.fence === "none") await takeDownFences(store, inputs);
  } finally {
    await store.close();
  }
  return { outs: await reachGoal(raw, inputs, report, inputs.timeouts.update) };
}

/** Those whose cancel by name is taken back: they begin anew, with a worker that does so too. */
function revivedDatabases(before: Inputs | undefined, after: Inputs): readonly string[] {
  if (!before?.cancel || cancelsAll(after)) return [];
  return before.dbsToCancelMigrationOn.filter((name) => !after.dbsToCancelMigrationOn.includes(name));
}

/** A worker keeps the credentials and the code that it was started with. */
async function needsAnotherWorker(store: Store, olds: Properties, inputs: Inputs): Promise<boolean> {
  const before = inputsWithin(olds);
  const startedWith = ({ source, target, webhook }: Inputs): unknown => [source, target, webhook];
  if (!before || !isDeepStrictEqual(startedWith(before), startedWith(inputs))) return true;
  // Databases are waited for while none is named; a list that changes later is for a worker that begins with it.
  if (before.dbsToMigrate.length > 0 && !haveSameMembers(before.dbsToMigrate, inputs.dbsToMigrate)) return true;
  const worker = (await readStatus(store, inputs.migrationName))?.worker;
  return worker?.state === "running" && worker.version !== engineVersion;
}

/** Reports what the store says; where it cannot be read, what was known before. Never throws, never forgets. */
export async function read(id: string, props: Properties): Promise<{ id: string; props: Properties }> {
  const inputs = inputsWithin(props);
  if (!inputs) return { id, props };
  try {
    const currentStatus = await lookUp(inputs, "read");
    return { id, props: currentStatus ? { ...props, ...reported(inputs, currentStatus) } : props };
  } catch (error) {
    process.stderr.write(`the migration's status cannot be read: ${messageOf(error)}\n`);
    return { id, props };
  }
}

/**
 * Stops the worker and removes slot, publications and records; the migrated data stays.
 *
 * @throws TimedOut after `timeouts.delete`; a further try goes on with what is left
 */
export async function remove(_id: string, props: Properties): Promise<void> {
  const inputs = understandInputs(inputsAmong(props));
  const seconds = inputs.timeouts.delete;
  const erasing = erase(inputs, statusWithin(props)?.state);
  if (seconds === undefined) return erasing;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(
        new TimedOut(`${inputs.migrationName} could not be removed within ${seconds} s`, {
          remedy: "run pulumi destroy again, which goes on with what is left, or raise timeouts.delete",
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

/** @param known the last state that was heard of */
async function erase(inputs: Inputs, known?: MigrationStatus["state"]): Promise<void> {
  const store = await Store.find(inputs, `${inputs.migrationName} delete`);
  if (!store) return eraseFromServers(inputs, known);
  try {
    if (!(await readMigration(store, inputs.migrationName))) {
      await eraseFromServers(inputs, known);
      return;
    }
    await stopWorker(store, inputs.migrationName);
    await fenceWorkers(store, inputs.migrationName);
    // Held until the store is closed, so that nobody starts a worker for what is being erased.
    await holdLease(store, inputs.migrationName);
    await eraseMigration(store, inputs);
  } finally {
    await store.close();
  }
}

/** Somebody has removed the records; what an online migration has made on the servers is known by name. */
async function eraseFromServers(inputs: Inputs, known?: MigrationStatus["state"]): Promise<void> {
  if (inputs.migrationMode !== "Online") return;
  const databases = inputs.dbsToMigrate.map((name) => ({ name, targetName: targetDatabase(inputs, name) }));
  await eraseUnrecorded({ ...inputs, databases, hasEnded: known === "Succeeded" || known === "Canceled" });
}

/** Takes over a record that somebody else has made. @throws Refused when it is another migration's */
async function adopt(store: Store, inputs: Inputs): Promise<void> {
  const record = await readMigration(store, inputs.migrationName);
  const otherDatabases = record && !haveSameMembers(record.wish.dbsToMigrate, inputs.dbsToMigrate);
  if (otherDatabases && record.state !== "ValidationFailed") throw foreignRecord(inputs, ["dbsToMigrate"]);
  await goOn(store, inputs);
}

const haveSameMembers = (one: readonly string[], other: readonly string[]): boolean =>
  isDeepStrictEqual([...one].sort(), [...other].sort());

/** Puts an existing record on the way to what is wanted. @throws Refused when it is another migration's */
async function goOn(store: Store, inputs: Inputs): Promise<void> {
  const name = inputs.migrationName;
  const wish = wishOf(inputs);
  const found = await readMigration(store, name);
  const foreign = found ? differingIdentity(found.wish, wish) : [];
  if (!found || foreign.length > 0) throw foreignRecord(inputs, foreign);
  await leaveOutDatabases(store, inputs);
  await retryFailed(store, inputs);
  // What a worker that was stopped for that had come to.
  const record = (await readMigration(store, name)) ?? found;
  // A worker that saw the cutover asked for before the wish it comes with would cut over by the former one.
  await store.atOnce(async () => {
    await recordWish(store, record, inputs, wish);
    await recordRequests(store, inputs);
  });
}

/** A worker leaves what has failed alone while it follows the others; its successor begins with all. */
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

async function recordWish(store: Store, record: MigrationRecord, inputs: Inputs, wish: Wish): Promise<void> {
  const { state } = record;
  // One that has failed keeps its slots: a worker removes them.
  if (hasEnded(state) && state !== "Failed" && cancelsAll(inputs)) return;
  const isTakenBack = state === "Canceled" && inputs.rollback === "return";
  if (hasEnded(state) && !isTakenBack && !isDone(record, wish)) await restartMigration(store, wish);
  else await updateWish(store, wish);
}

const foreignRecord = (inputs: Inputs, properties: readonly string[]): Refused =>
  new Refused(
    `the migration ${inputs.migrationName} exists on ${inputs.target.host}:${inputs.target.port} already, with another ${properties.join(", ")}`,
    { remedy: "choose another migrationName, or destroy that migration first" },
  );

/** Whether a migration that has ended has nothing to do for this wish. Databases that are done are never done again. */
function isDone(record: MigrationRecord, wish: Wish): boolean {
  if (record.state !== "Succeeded") return false;
  const onlyValidated = record.wish.migrationOption === "Validate" && wish.migrationOption !== "Validate";
  return !onlyValidated && wish.dbsToMigrate.every((database) => record.wish.dbsToMigrate.includes(database));
}

/** Databases that are wanted no more leave the record; their data on the target stays. */
async function leaveOutDatabases(store: Store, inputs: Inputs): Promise<void> {
  const { migrationName, dbsToMigrate } = inputs;
  const left = (await readDatabases(store, migrationName)).filter(({ name }) => !dbsToMigrate.includes(name));
  const busy = left.filter(({ slot, hasWayBack }) => slot !== undefined || hasWayBack).map(({ name }) => name);
  if (busy.length > 0)
    throw new Refused(`${busy.join(", ")} cannot be taken out of dbsToMigrate while the source is followed`, {
      remedy: "list it in dbsToCancelMigrationOn with cancel set to true first",
    });
  for (const database of left) await eraseFences(store, inputs, database);
  await forgetDatabases(
    store,
    migrationName,
    left.map(({ name }) => name),
  );
}

/** Those that stand since their cutover: until then a fence is the worker's. */
async function takeDownFences(store: Store, inputs: Inputs): Promise<void> {
  for (const database of await readDatabases(store, inputs.migrationName))
    if (database.phase === "done") await eraseFences(store, inputs, database);
}

const cancelsAll = (inputs: Inputs): boolean => inputs.cancel && inputs.dbsToCancelMigrationOn.length === 0;

/** The switches as requests to the worker: of the databases that are listed, of all where none is. */
async function recordRequests(store: Store, inputs: Inputs): Promise<void> {
  const concerned = (isOn: boolean, databases: readonly string[]): readonly string[] => {
    if (!isOn) return [];
    return databases.length > 0 ? databases : [everyDatabase];
  };
  const cutover = concerned(inputs.triggerCutover, inputs.dbsToTriggerCutoverOn);
  const cancel = concerned(inputs.cancel, inputs.dbsToCancelMigrationOn);
  await setRequests(store, inputs.migrationName, "cutover", cutover);
  await setRequests(store, inputs.migrationName, "cancel", cancel);
}

async function reachGoal(
  raw: Properties,
  inputs: Inputs,
  report: Report,
  timeoutSeconds = longestWaitSeconds,
): Promise<Properties> {
  try {
    const result = await superviseWorker(inputs, { goal: goalOf(inputs), report, timeoutSeconds });
    const outputs = outputsOf(raw, inputs, result.status);
    if (result.reached) return outputs;
    throw new MigrationIncomplete(idOf(inputs), outputs, result.reason);
  } catch (error) {
    if (error instanceof MigrationIncomplete) throw error;
    // The migration is recorded, so Pulumi has to know of it, or nobody could destroy it.
    const status = await glance(inputs);
    if (!status) throw error;
    throw new MigrationIncomplete(idOf(inputs), outputsOf(raw, inputs, status), messageOf(error));
  }
}

/** Azure's service gives a migration seven days. */
const longestWaitSeconds = 7 * 24 * 3600;

/**
 * The migration exists and has not reached its goal. The fields are those that Pulumi's dynamic provider looks for: with
 * them the resource stays in the state, and the next `up` calls update.
 */
export class MigrationIncomplete extends Error {
  readonly reasons: readonly string[];

  /** @hidden */
  constructor(
    readonly id: string,
    readonly properties: Properties,
    reason: string,
  ) {
    super(reason);
    this.name = "MigrationIncomplete";
    this.reasons = [reason];
  }
}

const idOf = (inputs: Inputs): string => `${inputs.target.host}:${inputs.target.port}/${inputs.migrationName}`;

/** What the state keeps: the program's own inputs, and what is reported. */
const outputsOf = (raw: Properties, inputs: Inputs, status: MigrationStatus): Properties => ({
  ...inputsAmong(raw),
  ...reported(inputs, status),
});

function reported(inputs: Inputs, currentStatus: MigrationStatus): Properties {
  const { host, port, user, sslMode } = publicEndpoint(inputs.target);
  const databases = inputs.dbsToMigrate.map((database) => targetDatabase(inputs, database));
  const targetConnection: TargetConnection = { host, port, user, sslMode, databases };
  const { migrationId, sourceDbServerMetadata, targetDbServerMetadata } = currentStatus;
  return plain({ currentStatus, migrationId, targetConnection, sourceDbServerMetadata, targetDbServerMetadata });
}

/** Without what is undefined, which Pulumi refuses in outputs. */
const plain = (properties: Readonly<Record<string, unknown>>): Properties =>
  Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined));

/** Our inputs among old outputs, or among what Pulumi hands over: `__provider` is its own. */
const inputsAmong = (properties: Properties): Properties =>
  Object.fromEntries(Object.entries(properties).filter(([key]) => !notInputs.includes(key)));

const notInputs = [
  "__provider",
  "currentStatus",
  "migrationId",
  "targetConnection",
  "sourceDbServerMetadata",
  "targetDbServerMetadata",
];

/**
 * The inputs within what is kept, as the engine uses them; undefined when they are unknown, or of another version's
 * form.
 */
const inputsWithin = (properties: Properties): Inputs | undefined => checkInputs(inputsAmong(properties)).inputs;

const statusWithin = (outputs: Properties): MigrationStatus | undefined =>
  outputs.currentStatus as MigrationStatus | undefined;
