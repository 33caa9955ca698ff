import type { Client } from "pg";
import { log } from "../../log.js";
import { type ChangeCaptureNames, changeCaptureNames } from "../../cdc/model/names.js";
import type { SlotIdentity } from "../../cdc/target/progress.js";
import { blockerReporter } from "../monitoring/blocker-finding.js";
import { dropSlot } from "../../cdc/source/drop-slot.js";
import { readWalPosition } from "../../cdc/source/lag.js";
import { createPublications, requireOwnPublications } from "../../cdc/source/publication.js";
import { type OutputPlugin, createSlot } from "../../cdc/source/slot.js";
import type { LockOptions } from "../../copy/lock-together.js";
import { Snapshot, lockedSnapshot, withSnapshotSession } from "../../copy/snapshot.js";
import { definitionsChangedSince } from "../../copy/table-versions.js";
import type { TableToCopy } from "../../copy/tables-to-copy.js";
import { defaultPatienceMs } from "../../copy/waiter-watch.js";
import { type LockedSnapshot, changedBeforeCopy, yieldToWaiters } from "../../copy/yield-to-waiters.js";
import { ConcurrentChangeError, messageOf } from "../../errors.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { applicationName } from "../../postgres/connection/connect.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { formatLsn } from "../../postgres/lsn.js";
import { isMissingRelation } from "../../postgres/sql-state.js";
import { readClock } from "../../postgres/writes/unreported-writes.js";
import { readTableWrites, type WritesByTable } from "../../postgres/writes/table-writes.js";
import type { Table } from "../../postgres/tables.js";
import { dumpPurpose } from "../../schema/dump/dump-options.js";
import { enumerate } from "../../units/enumerate.js";
import { selectedTablesIn } from "../context/selected-tables.js";
import { type SchemaBaseline, readSchemaBaseline } from "../schema-diff/schema-baseline.js";
import { tablesInScope } from "../context/tables-in-scope.js";
import type { Work } from "../context/work.js";
import { objectsDroppedSince } from "./objects-dropped-since.js";

/** What had been written to the source before a snapshot. */
export interface WriteBaseline {
  readonly txidSnapshot: string;
  readonly tables: WritesByTable;
  /** The source's clock, as text with its time zone. */
  readonly takenAt: string;
}

export interface CopyPoint {
  readonly snapshot: Snapshot;
  /** Online: the slot whose stream starts at the snapshot. */
  readonly slot: SlotIdentity | undefined;
  /** Publications that the stream requests. */
  readonly publications: readonly string[];
  readonly mark: SchemaBaseline | undefined;
  readonly plugin: OutputPlugin;
  /** Offline, unless only the schema is copied. */
  readonly written: WriteBaseline | undefined;
}

export interface LockedCopyPoint<Read> {
  readonly point: CopyPoint;
  /** Tables whose rows are copied, as of the snapshot, largest first. */
  readonly tables: readonly TableToCopy[];
  /** Result of the caller's `read`. */
  readonly read: Read;
}

/**
 * Exports the snapshot to copy. For an online migration, the slot's stream starts at it. Locks the tables against TRUNCATE
 * and rewrites, which snapshots do not protect from. If an application waits for one, a snapshot with a stream releases only its
 * locks; see {@link requireSameDefinitions}. A snapshot without a stream is released completely. Otherwise the caller releases it.
 *
 * @param read runs while the tables are locked; has to stop when its signal aborts
 * @param hasStream whether a slot's stream starts at the snapshot
 */
export async function takeSnapshot<Read>(
  work: Work,
  database: string,
  read: (snapshot: Snapshot, signal: AbortSignal) => Promise<Read>,
  hasStream = work.spec.migrationMode === "Online",
): Promise<LockedCopyPoint<Read>> {
  let tables: readonly TableToCopy[] = [];
  const take = hasStream ? lockedWithStream : lockedWithoutStream;
  const point = await take(work, database, async ({ snapshot }) => {
    tables = await selectedTablesIn(work, { database, snapshotId: snapshot.id, purpose: "lock" });
    return tables.map(({ table }) => table);
  });
  const { snapshot } = point;
  const baseline = (): Promise<SchemaBaseline | undefined> =>
    hasStream ? baselineOf(work, database, snapshot.id) : Promise.resolve(undefined);
  const readers = { readers: [applicationName(dumpPurpose)], patienceMs: dumpPatienceMs(work) };
  const locked = { ...lockedSnapshotOf(work, database, point), ...(hasStream ? readers : {}) };
  try {
    return await orAltered(work, database, point, () =>
      yieldToWaiters(locked, async (yielded) => {
        const signal = AbortSignal.any([yielded, work.signal, snapshot.lost]);
        const [mark, result] = await bothOf(signal, baseline, (stop) => read(snapshot, stop));
        yielded.throwIfAborted();
        return { point: { ...point, mark }, tables, read: result };
      }),
    );
  } catch (error) {
    await snapshot.release();
    throw error;
  }
}

/** Runs both at the same time. The first failure stops the other. Waits until both have ended. */
async function bothOf<One, Other>(
  signal: AbortSignal,
  one: (signal: AbortSignal) => Promise<One>,
  other: (signal: AbortSignal) => Promise<Other>,
): Promise<[One, Other]> {
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const orStop = async <Result>(run: (signal: AbortSignal) => Promise<Result>): Promise<Result> => {
    try {
      return await run(stop);
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  };
  const running = [orStop(one), orStop(other)] as const;
  await Promise.allSettled(running);
  failed.signal.throwIfAborted();
  return Promise.all(running);
}

type TakeLocked = (
  work: Work,
  database: string,
  tablesOf: (point: CopyPoint) => Promise<Table[]>,
) => Promise<CopyPoint>;

const lockedWithoutStream: TakeLocked = (work, database, tablesOf) =>
  lockedSnapshot(
    () => snapshotPoint(work, database),
    tablesOf,
    () => Promise.resolve(),
    lockOptions(work, database),
  );

const lockedWithStream: TakeLocked = async (work, database, tablesOf) => {
  const { source, spec, journal } = work;
  const names = changeCaptureNames(spec, database);
  await journal.database(database, {
    message: "creating publication and slot",
    slot: names.slot,
    publications: [names.publication, names.insertOnlyPublication],
  });
  const stream = await publish(work, database);
  return lockedSnapshot(
    () => streamPoint(work, database, names.slot, stream),
    tablesOf,
    () => dropSlot(source, database, names.slot),
    lockOptions(work, database),
  );
};

async function snapshotPoint({ source, spec }: Work, database: string): Promise<CopyPoint> {
  let before: Omit<WriteBaseline, "txidSnapshot"> | undefined;
  // Before the snapshot: later, a write between the two would not be counted.
  const snapshot = await Snapshot.export(source, database, async (session) => {
    if (!spec.schemaOnly) before = { tables: await readTableWrites(session), takenAt: await readClock(session) };
  });
  const written = before && { txidSnapshot: snapshot.txidSnapshot, ...before };
  return { snapshot, slot: undefined, publications: [], mark: undefined, plugin: "pgoutput", written };
}

/**
 * Position in the source's WAL of a copy's snapshot, for the report. Online it is exact: the slot's stream starts there. Offline
 * it is read after the snapshot, so that everything in the snapshot was committed before it. Undefined if the source's service
 * does not offer it.
 *
 * @param source a session in the database
 */
export async function snapshotLsn(source: Client, database: string, { slot }: CopyPoint): Promise<string | undefined> {
  if (slot) return formatLsn(slot.consistentPoint);
  try {
    return await readWalPosition(source);
  } catch (error) {
    if (isConnectionLoss(error)) throw error;
    log.warn(`${database}: the position of the snapshot cannot be read: ${messageOf(error)}`);
    return undefined;
  }
}

/** With a stream, the locks can be released alone: a table that was truncated then is copied later, when it joins the stream. */
export const lockedSnapshotOf = (
  { source }: Work,
  database: string,
  { snapshot, slot }: Pick<CopyPoint, "snapshot" | "slot">,
): LockedSnapshot => ({ source, database, snapshot, keepsSnapshot: slot !== undefined });

/**
 * Call it after the schema was read, and before its tables are unlocked. TRUNCATE may have emptied a table since the locks
 * were released for an application: the table is then copied when it joins the stream. Definitions must be the same, because
 * pg_dump reads them in part as of the snapshot, and in part as they are.
 *
 * @throws ConcurrentChangeError if a table was altered, renamed or dropped
 */
export async function requireSameDefinitions(
  { source }: Work,
  database: string,
  { snapshot }: Pick<CopyPoint, "snapshot">,
): Promise<void> {
  if (snapshot.hasLocks || snapshot.isReleased) return;
  const changed = await definitionsChangedSince(source, database, snapshot);
  if (changed.length === 0) return;
  throw changedBeforeCopy(`the definition of ${enumerate(changed)} of ${database} changed while the schema was read`);
}

/** Reports an alteration, or the drop of an object, instead of the error that it caused. */
export async function orAltered<Result>(
  work: Work,
  database: string,
  point: Pick<CopyPoint, "snapshot">,
  run: () => Promise<Result>,
): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    if (work.signal.aborted || error instanceof ConcurrentChangeError || isConnectionLoss(error)) throw error;
    const { snapshot } = point;
    const requireUnaltered = async (): Promise<void> => {
      await requireSameDefinitions(work, database, point);
      const dropped = snapshot.isReleased ? [] : await objectsDroppedSince(work.source, database, snapshot);
      if (dropped.length === 0) return;
      const [cause] = messageOf(error).split("\n");
      throw changedBeforeCopy(
        `another session dropped ${enumerate(dropped)} of ${database} while the schema was read (${cause})`,
        error,
      );
    };
    await requireUnaltered().catch((change: unknown) => {
      throw change instanceof ConcurrentChangeError ? change : error;
    });
    throw error;
  }
}

const startsBeforePatience = 5;
const maxPatienceMs = 5000;

/**
 * How long an application waits for pg_dump. It doubles after several starts of the copy. Otherwise a large schema could never be
 * read beside applications that truncate tables all the time.
 */
export function dumpPatienceMs({ releases }: Work): number {
  const doublings = Math.max(0, (releases?.count ?? 0) - startsBeforePatience + 1);
  return Math.min(defaultPatienceMs * 2 ** doublings, maxPatienceMs);
}

/** Reports the sessions that hold conflicting locks. */
export const lockOptions = ({ journal, signal }: Work, database: string): LockOptions => ({
  signal,
  onWaiting: (holders) =>
    // A lost event must not fail the copy.
    void journal
      .event(`waiting for locks on the source: ${holders}`, { database, level: "warning" })
      .catch(() => undefined),
});

async function streamPoint(
  work: Work,
  database: string,
  slotName: string,
  { publications, plugin }: Pick<CopyPoint, "publications" | "plugin">,
): Promise<CopyPoint> {
  const { source, signal } = work;
  const slot = await createSlot({
    source,
    database,
    slot: slotName,
    plugin,
    signal,
    onWaiting: blockerReporter(work, database, "source"),
  });
  try {
    const snapshot = await Snapshot.hold(source, database, slot.snapshotId);
    return { snapshot, slot, publications, mark: undefined, plugin, written: undefined };
  } finally {
    await slot.release();
  }
}

/** Reads the schema as of the snapshot. */
export async function baselineOf(
  { source, spec }: Work,
  database: string,
  snapshotId: string,
): Promise<SchemaBaseline> {
  const place = { source, database, snapshotId, purpose: `${spec.migrationName} mark` };
  return withSnapshotSession(place, (session) => readSchemaBaseline(session, changeCaptureNames(spec, database)));
}

/** How often the tables are listed while applications drop tables that were listed before. */
const maxListings = 20;

/** pgoutput requires publications. A database without any uses test_decoding. */
async function publish({ source, spec }: Work, database: string): Promise<Pick<CopyPoint, "publications" | "plugin">> {
  return withSession(source, { database, purpose: `${spec.migrationName} publish` }, async (session) => {
    const names = changeCaptureNames(spec, database);
    const publications = await publishListed(session, spec, names);
    await requireOwnPublications(session, names);
    return { publications, plugin: publications.length === 0 ? "test_decoding" : (spec.decodingPlugin ?? "pgoutput") };
  });
}

async function publishListed(
  session: Client,
  spec: MigrationSpec,
  names: ChangeCaptureNames,
): Promise<readonly string[]> {
  for (let listing = 1; ; listing++) {
    const tables = await tablesInScope(session, spec);
    try {
      return (await createPublications(session, names, tables, { keyless: spec.keylessTables })).publications;
    } catch (error) {
      if (listing === maxListings || !isOfMissingTable(error)) throw error;
    }
  }
}

const isOfMissingTable = (error: unknown): boolean =>
  isMissingRelation(error) || isMissingRelation((error as Error).cause);
