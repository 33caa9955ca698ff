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
import { connect } from "../../postgres/connection/connect.js";
import type { Table } from "../../postgres/tables.js";
import { selectedTables } from "../context/selected-tables.js";
import { type SchemaBaseline, readSchemaBaseline } from "../schema-diff/schema-baseline.js";
import { tablesInScope } from "../context/tables-in-scope.js";
import type { Work } from "../context/work.js";

export interface CopyPoint {
  readonly snapshot: Snapshot;
  /** Online: the slot of which the stream begins at just this moment. */
  readonly slot: SlotIdentity | undefined;
  /** What the stream is asked for. */
  readonly publications: readonly string[];
  readonly mark: SchemaBaseline | undefined;
  readonly plugin: OutputPlugin;
}

export interface LockedCopyPoint<Read> {
  readonly point: CopyPoint;
  /** Those whose rows are to be copied, as the snapshot shows them, largest first. */
  readonly tables: readonly TableToCopy[];
  /** What else was read under the snapshot. */
  readonly read: Read;
}

/**
 * The moment to copy: for an online migration the one at which its slot's stream begins. The tables are locked against
 * what no snapshot is proof against, and released if an application waits for one of them. The caller releases it.
 *
 * @param read runs while tables are listed and locked, which takes as long where there are thousands of them; again, once
 *   its signal has ended it, where that takes another snapshot
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
      await reading?.end();
      reading = new Reading((signal) => read(snapshot, AbortSignal.any([signal, work.signal, snapshot.lost])));
      tables = await tablesIn(work, database, snapshot);
      return tables.map(({ table }) => table);
    });
    taken = point.snapshot;
    return { point, tables, read: await whileLocked(work, database, taken, (yielded) => reading!.until(yielded)) };
  } catch (error) {
    await reading?.end();
    await taken?.release();
    throw error;
  }
}

/** What is read beside something else, which may come to nothing. */
class Reading<Read> {
  readonly #abort = new AbortController();
  readonly result: Promise<Read>;

  constructor(read: (signal: AbortSignal) => Promise<Read>) {
    this.result = read(this.#abort.signal);
    // Its failure counts only for who waits for the result.
    this.result.catch(() => undefined);
  }

  async until(signal: AbortSignal): Promise<Read> {
    signal.addEventListener("abort", () => void this.end(), { once: true });
    return this.result;
  }

  async end(): Promise<void> {
    this.#abort.abort(new CanceledError("what was read belongs to a snapshot that is of no use"));
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
    // Not before: whoever truncates a table until it is locked costs the snapshot.
    const mark = await whileLocked(work, database, point.snapshot, () => baselineOf(work, database, point.snapshot.id));
    return { ...point, mark };
  } catch (error) {
    await point.snapshot.release();
    throw error;
  }
}

/** Applications that alter tables all the time would keep a copy from ever beginning. */
const mostImpatientReleases = 5;

/** Whether applications have to wait now, unless this migration waits behind them. */
export const hasReleasedOften = ({ releases }: Work): boolean => (releases?.count ?? 0) >= mostImpatientReleases;

/** @throws ConcurrentChangeError when the snapshot was released for an application that waits for a locked table */
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

/** Who keeps tables locked is told. */
export const lockOptions = ({ journal, signal }: Work, database: string): LockOptions => ({
  signal,
  onWaiting: (holders) =>
    // A lost event is no reason to give up.
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

/** As of the snapshot. */
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

/** Where there are no publications, there is no pgoutput. */
async function publish({ source, spec }: Work, database: string): Promise<Pick<CopyPoint, "publications" | "plugin">> {
  const client = await connect(source, { database, purpose: `${spec.migrationName} publish` });
  try {
    const tables = await tablesInScope(client, spec);
    const names = changeCaptureNames(spec, database);
    const { publications } = await createPublications(client, names, tables, { keyless: spec.keylessTables });
    return { publications, plugin: publications.length === 0 ? "test_decoding" : (spec.decodingPlugin ?? "pgoutput") };
  } finally {
    await client.end();
  }
}
