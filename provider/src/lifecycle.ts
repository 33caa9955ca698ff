import { isDeepStrictEqual } from "node:util";
import { Refused, messageOf } from "./errors.js";
import { checkInputs, parseInputs, unknownValue, wishOf, type Inputs, type Wish } from "./inputs.js";
import { hasEnded, type MigrationStatus } from "./status.js";
import { readStatus } from "./store/read-status.js";
import { fenceWorkers, insertMigration, readMigration, restartMigration, updateWish } from "./store/records.js";
import { request, withdrawRequest } from "./store/requests.js";
import { Store } from "./store/store.js";
import { eraseMigration } from "./worker/erase.js";
import { stopWorker } from "./worker/stop.js";
import { superviseWorker, type Goal, type Report } from "./worker/supervise.js";

/**
 * What Pulumi asks of a dynamic provider. Inputs and outputs are plain values; `olds` of diff and update are old outputs.
 */
export interface Outputs extends Inputs {
  readonly currentStatus: MigrationStatus;
}

type Properties = Record<string, unknown>;

/** Checks inputs and fills in defaults; values that a preview does not know yet are let through. */
export function check(
  _olds: Properties,
  news: Properties,
): { inputs: Properties; failures: { property: string; reason: string }[] } {
  const { __provider, ...own } = news;
  const { inputs, failures } = checkInputs(own);
  const filled = inputs ? (inputs as unknown as Properties) : own;
  return { inputs: __provider === undefined ? filled : { ...filled, __provider }, failures: [...failures] };
}

/** Inputs that name which migration this is: another value means another migration. */
const identity: readonly (readonly [property: string, pick: (inputs: Wish) => unknown])[] = [
  ["migrationName", (inputs) => inputs.migrationName],
  ["migrationMode", (inputs) => inputs.migrationMode],
  ["source", (inputs) => [inputs.source.host, inputs.source.port]],
  ["target", (inputs) => [inputs.target.host, inputs.target.port]],
  ["dbsToMigrate", (inputs) => [...inputs.dbsToMigrate].sort()],
];

/** Inputs that only concern the machine that the program runs on. */
const unrecorded = ["resourceUrn", "timeouts"];

export interface DiffAnswer {
  readonly changes: boolean;
  readonly replaces?: string[];
  readonly deleteBeforeReplace?: boolean;
}

/**
 * What a change of inputs asks for. A migration in need of a worker that has none, or one that failed, is a change too:
 * update puts it right.
 */
export function diff(_id: string, olds: Properties, news: Properties): DiffAnswer {
  const before = olds as unknown as Outputs;
  const after = news as unknown as Inputs;
  const replaces = identity
    .filter(([property]) => !containsUnknown(news[property]))
    .filter(([, pick]) => !isDeepStrictEqual(pick(before), pick(after)))
    .map(([property]) => property)
    .filter((property) => property !== "dbsToMigrate" || before.currentStatus.state !== "ValidationFailed");
  // The name is unique on the target: the old migration's record must go before the new one's comes.
  if (replaces.length > 0) return { changes: true, replaces, deleteBeforeReplace: true };
  const changed = Object.keys(news).some(
    (key) => key !== "__provider" && !unrecorded.includes(key) && !isDeepStrictEqual(olds[key], news[key]),
  );
  return { changes: changed || needsAttention(before.currentStatus) };
}

const needsAttention = (status: MigrationStatus | undefined): boolean =>
  status !== undefined && (status.worker.state === "lost" || (hasEnded(status.state) && status.state !== "Succeeded"));

function containsUnknown(value: unknown): boolean {
  if (value === unknownValue) return true;
  return typeof value === "object" && value !== null && Object.values(value).some(containsUnknown);
}

/**
 * Records the wish, starts a worker and follows it as far as the mode wants: an offline migration until it has succeeded,
 * an online one until it waits for its cutover. A migration of the same name that wants the same is adopted.
 *
 * @throws InvalidInput, Refused, Unreachable when nothing was recorded; MigrationIncomplete when the migration exists and
 * has not reached its goal
 */
export async function create(raw: Properties, report: Report): Promise<{ id: string; outs: Properties }> {
  const inputs = parseInputs(withoutProvider(raw));
  const store = await Store.open(inputs, `${inputs.migrationName} create`);
  try {
    const wish = wishOf(inputs);
    if (await insertMigration(store, wish)) {
      if (inputs.triggerCutover) await request(store, inputs.migrationName, "cutover");
    } else await goOn(store, inputs);
  } finally {
    await store.close();
  }
  return { id: idOf(inputs), outs: await reachGoal(inputs, report, inputs.timeouts.createSeconds) };
}

/** Brings a migration that exists to what is wanted now: a cutover, another try, a successor for a lost worker. */
export async function update(
  _id: string,
  olds: Properties,
  raw: Properties,
  report: Report,
): Promise<{ outs: Properties }> {
  const inputs = parseInputs(withoutProvider(raw));
  const before = olds as unknown as Outputs;
  const store = await Store.open(inputs, `${inputs.migrationName} update`);
  try {
    if (!(await readMigration(store, inputs.migrationName))) {
      // Its record was cleaned away after the end: that is no wish to migrate again, over what has been written since.
      if (before.currentStatus.state === "Succeeded") return { outs: outputsOf(inputs, before.currentStatus) };
      await insertMigration(store, wishOf(inputs));
    }
    if (!isDeepStrictEqual([before.source, before.target], [inputs.source, inputs.target]))
      await stopWorker(store, inputs.migrationName);
    await goOn(store, inputs);
  } finally {
    await store.close();
  }
  return { outs: await reachGoal(inputs, report, inputs.timeouts.updateSeconds) };
}

/** Reports what the store says; where it cannot be read, what was known before. Never throws, never forgets. */
export async function read(id: string, props: Properties): Promise<{ id: string; props: Properties }> {
  const { inputs } = checkInputs(inputsWithin(props));
  if (!inputs) return { id, props };
  try {
    const store = await Store.find(inputs, `${inputs.migrationName} read`);
    if (!store) return { id, props };
    try {
      const currentStatus = await readStatus(store, inputs.migrationName);
      return { id, props: currentStatus ? { ...props, currentStatus } : props };
    } finally {
      await store.close();
    }
  } catch (error) {
    process.stderr.write(`the migration's status cannot be read: ${messageOf(error)}\n`);
    return { id, props };
  }
}

/** Stops the worker and removes slot, publications and records; the migrated data stays. */
export async function remove(_id: string, props: Properties): Promise<void> {
  const inputs = parseInputs(inputsWithin(props));
  const store = await Store.find(inputs, `${inputs.migrationName} delete`);
  if (!store) return;
  try {
    if (!(await readMigration(store, inputs.migrationName))) return;
    await stopWorker(store, inputs.migrationName);
    await fenceWorkers(store, inputs.migrationName);
    await eraseMigration(store, inputs);
  } finally {
    await store.close();
  }
}

/** Puts an existing record on the way to what is wanted. @throws Refused when it is another migration's */
async function goOn(store: Store, inputs: Inputs): Promise<void> {
  const name = inputs.migrationName;
  const wish = wishOf(inputs);
  const record = await readMigration(store, name);
  const foreign = identity.filter(
    ([property, pick]) => property !== "dbsToMigrate" && record && !isDeepStrictEqual(pick(record.wish), pick(wish)),
  );
  if (!record || foreign.length > 0)
    throw new Refused(
      `the migration ${name} exists on ${inputs.target.host}:${inputs.target.port} already, with another ${foreign.map(([property]) => property).join(", ")}`,
      { remedy: "choose another migrationName, or destroy that migration first" },
    );
  if (inputs.triggerCutover) await request(store, name, "cutover");
  else await withdrawRequest(store, name, "cutover");
  const onlyValidated = record.state === "Succeeded" && record.wish.migrationOption === "Validate";
  const another =
    hasEnded(record.state) && (record.state !== "Succeeded" || (onlyValidated && wish.migrationOption !== "Validate"));
  if (another) await restartMigration(store, wish);
  else await updateWish(store, wish);
}

async function reachGoal(inputs: Inputs, report: Report, timeoutSeconds: number | undefined): Promise<Properties> {
  const goal: Goal = inputs.migrationMode === "Online" && !inputs.triggerCutover ? "cutoverReady" : "succeeded";
  const result = await superviseWorker(inputs, { goal, report, timeoutSeconds: timeoutSeconds ?? longestWaitSeconds });
  if (result.reached) return outputsOf(inputs, result.status);
  throw new MigrationIncomplete(idOf(inputs), outputsOf(inputs, result.status), result.reason);
}

/** Azure's service gives a migration seven days. */
const longestWaitSeconds = 7 * 24 * 3600;

/**
 * The migration exists and has not reached its goal. The fields are those that Pulumi's dynamic provider looks for: with
 * them the resource stays in the state, and the next `up` calls update.
 */
export class MigrationIncomplete extends Error {
  readonly reasons: readonly string[];

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

const outputsOf = (inputs: Inputs, currentStatus: MigrationStatus): Properties => ({ ...inputs, currentStatus });

function withoutProvider({ __provider, ...rest }: Properties): Properties {
  return rest;
}

/** The inputs among old outputs. @throws nothing: what an older version of the package wrote is taken as it is */
function inputsWithin({ __provider, currentStatus: _status, ...rest }: Properties): Properties {
  return rest;
}
