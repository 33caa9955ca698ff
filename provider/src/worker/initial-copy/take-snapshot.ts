import { changeCaptureNames } from "../../cdc/model/names.js";
import type { SlotIdentity } from "../../cdc/target/progress.js";
import { blockerReporter } from "../monitoring/blocker-finding.js";
import { dropSlot } from "../../cdc/source/drop-slot.js";
import { createPublications } from "../../cdc/source/publication.js";
import { type OutputPlugin, createSlot } from "../../cdc/source/slot.js";
import type { LockOptions } from "../../copy/lock-together.js";
import { Snapshot, lockedSnapshot, openInSnapshot } from "../../copy/snapshot.js";
import type { TableToCopy } from "../../copy/tables-to-copy.js";
import { yieldToWaiters } from "../../copy/yield-to-waiters.js";
import { CanceledError } from "../../errors.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { Table } from "../../postgres/tables.js";
import { selectedTables } from "../context/selected-tables.js";
import { type SchemaBaseline, readSchemaBaseline } from "../schema-diff/schema-baseline.js";
import { tablesInScope } from "../context/tables-in-scope.js";
import type { Work } from "../context/work.js";

export interface CopyPoint {
  readonly snapshot: Snapshot;
  /** Online: the slot whose stream starts at the snapshot. */
  readonly slot: SlotIdentity | undefined;
  /** Publications that the stream requests. */
  readonly publications: readonly string[];
  readonly mark: SchemaBaseline | undefined;
  readonly plugin: OutputPlugin;
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
 * and rewrites, which snapshots do not protect from. Releases them if an application waits for one. The caller releases the
 * snapshot.
 *
 * @param read runs while the tables are listed and locked. If locking takes a new snapshot, its signal aborts and it runs
 *   again.
 */
export async function takeSnapshot<Read>(
  work: Work,
  database: string,
  read: (snapshot: Snapshot, signal: AbortSignal) => Promise<Read>,
): Promise<LockedCopyPoint<Read>> {
  let tables: readonly TableToCopy[] = [];
  let reading: Reading<Read> | undefined;
  let taken: Snapshot | undefined;
  try {
    const point = await lockedPoint(work, database, async ({ snapshot }) => {
      await reading?.close();
      reading = new Reading((signal) => read(snapshot, AbortSignal.any([signal, work.signal, snapshot.lost])));
      tables = await tablesIn(work, database, snapshot);
      return tables.map(({ table }) => table);
    });
    taken = point.snapshot;
    return { point, tables, read: await whileLocked(work, database, taken, (yielded) => reading!.until(yielded)) };
  } catch (error) {
    await reading?.close();
    await taken?.release();
    throw error;
  }
}

/** A concurrent read that can be aborted. */
class Reading<Read> {
  readonly #abort = new AbortController();
  readonly result: Promise<Read>;

  constructor(read: (signal: AbortSignal) => Promise<Read>) {
    this.result = read(this.#abort.signal);
    // Prevents an unhandled rejection while nothing awaits the result.
    this.result.catch(() => undefined);
  }

  async until(signal: AbortSignal): Promise<Read> {
    signal.addEventListener("abort", () => void this.close(), { once: true });
    return this.result;
  }

  async close(): Promise<void> {
    this.#abort.abort(new CanceledError("the snapshot was replaced, so what was read is discarded"));
    await this.result.catch(() => undefined);
  }
}

async function lockedPoint(
  work: Work,
  database: string,
  tablesOf: (point: CopyPoint) => Promise<Table[]>,
): Promise<CopyPoint> {
  const { source, spec, journal } = work;
  if (spec.migrationMode === "Offline") {
    const take = async (): Promise<CopyPoint> => ({
      snapshot: await Snapshot.export(source, database),
      slot: undefined,
      publications: [],
      mark: undefined,
      plugin: "pgoutput",
    });
    return lockedSnapshot(take, tablesOf, () => Promise.resolve(), lockOptions(work, database));
  }
  const names = changeCaptureNames(spec, database);
  await journal.database(database, {
    message: "creating publication and slot",
    slot: names.slot,
    publications: [names.publication, names.insertOnlyPublication],
  });
  const stream = await publish(work, database);
  const point = await lockedSnapshot(
    () => beginStream(work, database, names.slot, stream),
    tablesOf,
    () => dropSlot(source, database, names.slot),
    lockOptions(work, database),
  );
  try {
    // Only now, because a TRUNCATE before the locks would have invalidated the snapshot.
    const mark = await whileLocked(work, database, point.snapshot, () => baselineOf(work, database, point.snapshot.id));
    return { ...point, mark };
  } catch (error) {
    await point.snapshot.release();
    throw error;
  }
}

/** Limits the releases, because applications that alter tables continuously would otherwise prevent the copy. */
const maxImpatientReleases = 5;

/** Whether the copy now keeps its locks while applications wait, unless it waits for such an application itself. */
export const hasReleasedOften = ({ releases }: Work): boolean => (releases?.count ?? 0) >= maxImpatientReleases;

/** @throws ConcurrentChangeError if the snapshot was released for an application that waits for a locked table */
function whileLocked<Result>(
  work: Work,
  database: string,
  snapshot: Snapshot,
  read: (yielded: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const locked = { source: work.source, database, snapshot, isPatient: () => hasReleasedOften(work) };
  return yieldToWaiters(locked, async (yielded) => {
    const result = await read(yielded);
    yielded.throwIfAborted();
    return result;
  });
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

async function beginStream(
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
    return { snapshot, slot, publications, mark: undefined, plugin };
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
  const session = await openInSnapshot(source, database, snapshotId, `${spec.migrationName} mark`);
  try {
    return await readSchemaBaseline(session, changeCaptureNames(spec, database));
  } finally {
    await session.end();
  }
}

async function tablesIn({ source, spec }: Work, database: string, snapshot: Snapshot): Promise<TableToCopy[]> {
  if (spec.schemaOnly) return [];
  const session = await openInSnapshot(source, database, snapshot.id, `${spec.migrationName} lock`);
  try {
    return await selectedTables(session, spec);
  } finally {
    await session.end();
  }
}

/** pgoutput requires publications. A database without any uses test_decoding. */
async function publish({ source, spec }: Work, database: string): Promise<Pick<CopyPoint, "publications" | "plugin">> {
  return withSession(source, { database, purpose: `${spec.migrationName} publish` }, async (session) => {
    const tables = await tablesInScope(session, spec);
    const names = changeCaptureNames(spec, database);
    const { publications } = await createPublications(session, names, tables, { keyless: spec.keylessTables });
    return { publications, plugin: publications.length === 0 ? "test_decoding" : (spec.decodingPlugin ?? "pgoutput") };
  });
}
