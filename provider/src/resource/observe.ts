import { Semaphore } from "../async/semaphore.js";
import { withTimeout } from "../async/with-timeout.js";
import type { Inputs, MigrationSpec } from "../inputs/inputs.js";
import { type DatabaseDetails, hasDatabaseEnded, hasEnded, type MigrationStatus } from "../status.js";
import { describeKeptSlot, readStatus } from "../store/read-status.js";
import { readMigration } from "../store/records.js";
import type { RecordOwner } from "../store/record-owner.js";
import { type Store, withExistingStore } from "../store/store.js";
import { formatBytes } from "../units/byte-size.js";
import { readSourceObjects, type SourceObjects } from "./source-objects.js";
import { describeOwner, formerOwnerRemedy, owns } from "./ownership/ownership.js";
import { statusWithin, type Properties } from "./state.js";

/** The state of a migration in the target's records and on the source. */
export type Observation =
  | {
      readonly kind: "recorded";
      readonly status: MigrationStatus;
      readonly spec: MigrationSpec;
      readonly owner: RecordOwner | undefined;
      /** The slots on the source, if it answers. */
      readonly onSource: readonly SourceObjects[];
    }
  | { readonly kind: "missing" };

/** Pulumi reads all members of a fleet at the same time, in one process. Together they would take all sessions of a target. */
const readsPerTarget = 8;
const readSlots = new Map<string, Semaphore>();

function slotsOf({ target: { host, port } }: Inputs): Semaphore {
  const server = `${host}:${port}`;
  const slots = readSlots.get(server) ?? new Semaphore(() => readsPerTarget);
  readSlots.set(server, slots);
  return slots;
}

/** @throws RefusedError, UnreachableError when the target's records cannot be read */
export const observe = (inputs: Inputs, purpose: string): Promise<Observation> =>
  slotsOf(inputs).run(() =>
    withExistingStore(inputs, `${inputs.migrationName} ${purpose}`, (store) => read(store, inputs)),
  );

async function read(store: Store | undefined, inputs: Inputs): Promise<Observation> {
  const record = store && (await readMigration(store, inputs.migrationName));
  const status = record && (await readStatus(store, inputs.migrationName));
  if (!status) return { kind: "missing" };
  const onSource = await readSourceObjects(store, inputs, status.state);
  return { kind: "recorded", status, spec: record.spec, owner: record.owner, onSource };
}

/** How long a preview waits for a server. */
export const observeWithinMs = 8000;

/** Like {@link observe}, for a preview: undefined if no server answers within eight seconds. Never throws. */
export function observeBriefly(inputs: Inputs, purpose: string): Promise<Observation | undefined> {
  return withTimeout(
    observe(inputs, purpose).catch(() => undefined),
    observeWithinMs,
  );
}

/**
 * The status to show for a resource with these outputs: as observed, with an error for all that is lost. Undefined if
 * the record is missing because the migration had ended.
 */
export function observedStatus(seen: Observation, outputs: Properties): MigrationStatus | undefined {
  if (seen.kind === "missing") return recordLost(statusWithin(outputs));
  const { status, owner, onSource } = seen;
  if (!owns(outputs, owner))
    return withError(
      status,
      `the migration belongs to ${describeOwner(owner)} since ${owner?.since}; this resource no longer manages it. ` +
        `To do: ${formerOwnerRemedy(outputs, owner)}`,
    );
  return onSource.reduce(withSourceObjects, status);
}

const withError = (status: MigrationStatus, error: string): MigrationStatus => ({
  ...status,
  error: status.error === undefined ? error : `${error}\n${status.error}`,
});

function withSourceObjects(status: MigrationStatus, objects: SourceObjects): MigrationStatus {
  const { database, loss } = objects;
  const { currentSubStateDetails: details } = status;
  const one = details.dbDetails[database];
  const changed = one && (loss === undefined ? withKeptSlot(one, objects) : asLost(one, loss));
  const dbDetails = changed ? { ...details.dbDetails, [database]: changed } : details.dbDetails;
  const now = { ...status, currentSubStateDetails: { ...details, dbDetails } };
  return loss === undefined ? now : withError(now, `${database}: ${loss}`);
}

const asLost = ({ keptSlot: _keptSlot, ...one }: DatabaseDetails, message: string): DatabaseDetails => ({
  ...one,
  migrationState: "Failed",
  message,
});

/** Replaces the measurement of the last worker. */
function withKeptSlot(
  { keptSlot, ...one }: DatabaseDetails,
  { slot, phase, retainedBytes }: SourceObjects,
): DatabaseDetails {
  if (keptSlot === undefined) return one;
  const { retainedWalBytes: _former, ...rest } = one;
  if (retainedBytes === undefined) return rest;
  return {
    ...rest,
    retainedWalBytes: retainedBytes,
    keptSlot: describeKeptSlot(slot, phase, formatBytes(retainedBytes)),
  };
}

/** A succeeded or canceled migration keeps its last status. */
function recordLost(known: MigrationStatus | undefined): MigrationStatus | undefined {
  if (!known || known.state === "Succeeded" || known.state === "Canceled") return undefined;
  const { secondsLeft: _secondsLeft, currentSubStateDetails: details, ...rest } = known;
  const dbDetails = Object.fromEntries(
    Object.entries(details.dbDetails).map(([name, one]) => [
      name,
      hasDatabaseEnded(one.migrationState) ? one : { ...one, migrationState: "Failed" as const },
    ]),
  );
  return {
    ...rest,
    state: hasEnded(known.state) ? known.state : "Failed",
    error:
      `the migration's record is missing on the target; its state was ${known.state}. Copied data is still on the target, ` +
      "and changes of the source are not replicated. To do: run pulumi up, which removes its slots and starts the migration again",
    currentSubStateDetails: { ...details, dbDetails },
    worker: { state: "lost" },
  };
}
