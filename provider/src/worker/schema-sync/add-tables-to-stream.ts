import { isDeepStrictEqual } from "node:util";
import { ConcurrentChangeError, LockNotAvailableError, RefusedError, TimeoutError } from "../../errors.js";
import { ShapeDiffers } from "../../cdc/binding/table-mapping.js";
import type { Follower } from "../../cdc/follower.js";
import { changeCaptureNames, pointSlot } from "../../cdc/model/names.js";
import { currentLsn } from "../../cdc/source/lag.js";
import { createPublications } from "../../cdc/source/publication.js";
import { openTargetSession } from "../../cdc/target/target-session.js";
import { copyFormat } from "../../copy/format.js";
import { copyTable } from "../../copy/copy-table.js";
import { tablesWithCrossTableFunctions } from "../../copy/cross-table-dependencies.js";
import { Snapshot, lockedSnapshot, withSnapshotSession } from "../../copy/snapshot.js";
import { tableReadsLaterTables, changedBeforeCopy, yieldToWaiters } from "../../copy/yield-to-waiters.js";
import { type ComparisonSnapshot, comparisonSnapshot } from "../../cutover/comparison-snapshot.js";
import type { BlockingSession } from "../../postgres/locks/blocking-sessions.js";
import { qualify } from "../../postgres/identifiers.js";
import type { Lsn } from "../../postgres/lsn.js";
import { serverVersion } from "../../postgres/server-version.js";
import { useSearchPath } from "../../postgres/search-path.js";
import { type SizedTable, type Table, listSizedTables, listTables } from "../../postgres/tables.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { queueReporter } from "../monitoring/queued-snapshot.js";
import { reportInsertOnly } from "./insert-only-tables.js";
import type { Restored } from "../followers/stream-state.js";
import { type NewObjects, restoreMissing } from "./new-objects.js";
import type { SchemaBaseline } from "../schema-diff/schema-baseline.js";
import { TableLocks } from "../initial-copy/table-locks.js";
import { lockOptions, baselineOf } from "../initial-copy/take-snapshot.js";

export interface TablesToAdd {
  /** The source's tables in scope, to be published. */
  readonly tables: readonly Table[];
  /** Those to copy. Empty where the follower only passes changes of tables that no longer exist. */
  readonly newTables: readonly Table[];
  /** Starts a follower that skips the new tables. It is held before it applies anything. */
  readonly bridge: () => Follower;
  /** Called when the new tables are on the target, before their rows are copied. */
  readonly onCreated: () => Promise<void>;
  /** Called with each set of sessions whose transactions delay the snapshot. */
  readonly onWaiting: (sessions: readonly BlockingSession[]) => void;
  readonly signal: AbortSignal;
}

export interface Joined extends Restored {
  readonly mark: SchemaBaseline;
  /** Tables that were not copied, because an application needed them. Qualified and quoted. */
  readonly postponed: ReadonlySet<string>;
}

/** How long to wait for transactions that are open on the source. The stream applies nothing new meanwhile. */
const openTransactionsSeconds = 300;

/**
 * Adds tables that were created or replaced on the source to a running stream:
 *
 * 1. publishes them, and creates them on the target,
 * 2. takes a snapshot at an LSN of the source,
 * 3. copies the new tables under the snapshot. From that LSN on the stream has all of their changes.
 * 4. applies all changes of the other tables up to that LSN.
 *
 * The new tables are locked only while their definitions are read, and each one while its rows are read. The locks are
 * released if a session of an application waits for them. A table that it alters, or waits for while rows are copied, is
 * postponed. A repetition after a failure replaces the rows that were copied.
 *
 * @throws ConcurrentChangeError when every table is postponed, or when, before the target has a new table, it is dropped,
 * renamed or replaced, or a session waits to lock it
 * @throws LockNotAvailableError when transactions stay open on the source
 */
export async function addTablesToStream(objects: NewObjects, tablesToAdd: TablesToAdd): Promise<Joined> {
  const { work, database, source } = objects;
  const { tables, newTables, bridge, signal } = tablesToAdd;
  const follower = bridge();
  try {
    const names = changeCaptureNames(work.spec, database);
    const [published] = await Promise.all([
      createPublications(source, names, tables, { keyless: work.spec.keylessTables }),
      follower.hold(),
    ]);
    const isNew = new Set(newTables.map(nameOfTable));
    const insertOnly = published.insertOnlyTables.filter(
      (table) => !table.partitioned && isNew.has(nameOfTable(table)),
    );
    await reportInsertOnly(work, database, insertOnly);
    // A change that the target refuses is found before rows are copied.
    await drainUnlessEnded(follower, await currentLsn(source), signal);
    const snapshot = await snapshotOfDefinitions(objects, tablesToAdd);
    try {
      return await yieldToWaiters({ source: work.source, database, snapshot }, async (yielded) => {
        const ended = AbortSignal.any([signal, snapshot.lost, yielded]);
        const mark = await baselineOf(work, database, snapshot.id);
        let postponed: ReadonlySet<string> = new Set();
        const restored = await restoreMissing(objects, {
          snapshot: snapshot.id,
          onDumped: () => snapshot.release(),
          copy: async () => (postponed = await copyAtLsn(objects, tablesToAdd, follower)),
          signal: ended,
        });
        return { ...restored, mark, postponed };
      });
    } finally {
      await snapshot.release();
    }
  } catch (error) {
    // Statements for a table fail in many ways if it was just dropped. The caller handles definitions that were replaced.
    if (error instanceof RefusedError && !(error instanceof ShapeDiffers)) await requirePresent(objects, tables);
    throw error;
  } finally {
    await follower.stop();
  }
}

/** The new tables are locked, because the server reads some definitions as they are now. */
async function snapshotOfDefinitions(objects: NewObjects, { newTables, signal }: TablesToAdd): Promise<Snapshot> {
  const { work, database } = objects;
  const { snapshot } = await lockedSnapshot(
    async () => ({ snapshot: await Snapshot.export(work.source, database) }),
    async () => {
      await requirePresent(objects, newTables);
      return newTables;
    },
    () => Promise.resolve(),
    { ...lockOptions(work, database), signal },
  );
  return snapshot;
}

/**
 * Nothing but the snapshot may precede the copy: a table that is truncated between the two is postponed.
 *
 * @returns the tables that were not copied, qualified and quoted
 */
async function copyAtLsn(
  objects: NewObjects,
  tablesToAdd: TablesToAdd,
  follower: Follower,
): Promise<ReadonlySet<string>> {
  const { work, database, sourceSearchPath, deferTriggersAndForeignKeys } = objects;
  const { newTables, onCreated, signal } = tablesToAdd;
  await onCreated();
  const target = await openTargetSession(work.target, targetDatabase(work.spec, database), {
    triggersDisabled: deferTriggersAndForeignKeys,
  });
  try {
    const copies = new Map((await listTables(target)).map((table) => [nameOfTable(table), table]));
    const last = await tablesWithCrossTableFunctions(objects.source);
    const names = new Set(newTables.map(nameOfTable));
    const isNew = (table: Table): boolean => !table.partitioned && names.has(nameOfTable(table));
    const tables = await listSizedTables(objects.source, isNew);
    await useSearchPath(target, sourceSearchPath);
    const { lsn, snapshot } = await snapshotAtLsn(objects, tablesToAdd, follower);
    const copied = await copyTables(
      { ...objects, target },
      { newTables, tables, copies, last, snapshotId: snapshot.id, signal: AbortSignal.any([signal, snapshot.lost]) },
    ).finally(() => snapshot.release());
    await drainUnlessEnded(follower, lsn, signal);
    await follower.stop();
    return copied;
  } finally {
    await target.end();
  }
}

async function snapshotAtLsn(
  { work, database, plugin }: NewObjects,
  { onWaiting, signal }: TablesToAdd,
  follower: Follower,
): Promise<ComparisonSnapshot> {
  try {
    return await comparisonSnapshot({
      source: work.source,
      database,
      slot: pointSlot(changeCaptureNames(work.spec, database)),
      plugin,
      timeoutSeconds: openTransactionsSeconds,
      onWaiting: (sessions, reached) => {
        follower.releaseUpTo(reached);
        onWaiting(sessions);
      },
      onQueued: queueReporter(work, database),
      signal,
    });
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    const [what] = error.message.split("\n  To do: ");
    throw new LockNotAvailableError(`no snapshot of new tables could be taken: ${what!}`, {
      remedy: error.remedy!,
      cause: error,
    });
  }
}

/** The follower may have a backlog to apply. @throws what the signal was aborted with */
async function drainUnlessEnded(follower: Follower, lsn: Lsn, ended: AbortSignal): Promise<void> {
  ended.throwIfAborted();
  const stopFollower = (): void => void follower.stop();
  ended.addEventListener("abort", stopFollower, { once: true });
  try {
    await follower.drainTo(lsn);
  } catch (error) {
    ended.throwIfAborted();
    throw error;
  } finally {
    ended.removeEventListener("abort", stopFollower);
  }
}

/** @throws ConcurrentChangeError when a table no longer has its name on the source: the schema is then compared again */
async function requirePresent({ source, database }: NewObjects, tables: readonly Table[]): Promise<void> {
  const present = new Set((await listTables(source)).map((table) => `${table.oid} ${nameOfTable(table)}`));
  const missing = tables.filter((table) => !present.has(`${table.oid} ${nameOfTable(table)}`));
  if (missing.length === 0) return;
  throw new ConcurrentChangeError(
    `${missing.map(nameOfTable).join(", ")} of ${database} was dropped, renamed or replaced on the source before it was copied`,
    { remedy: "none needed: the schema is compared again" },
  );
}

const nameOfTable = ({ schema, name }: Table): string => qualify(schema, name);

interface TablesToCopy {
  readonly newTables: readonly Table[];
  /** The ordinary ones of them, as they are now on the source. */
  readonly tables: readonly SizedTable[];
  /** The target's tables by name, qualified and quoted. */
  readonly copies: ReadonlyMap<string, Table>;
  /** OIDs of tables whose functions may read other tables. They are copied only after all others. */
  readonly last: ReadonlySet<number>;
  readonly snapshotId: string;
  readonly signal: AbortSignal;
}

/**
 * Copies the tables that applications leave unlocked and unaltered.
 *
 * @returns the other tables, qualified and quoted
 * @throws ConcurrentChangeError when none was copied
 */
async function copyTables(
  { work, database, target }: NewObjects,
  { newTables, tables, copies, last, snapshotId, signal }: TablesToCopy,
): Promise<ReadonlySet<string>> {
  const { source, spec } = work;
  const joining = { source, database, snapshotId, purpose: `${spec.migrationName} join` };
  const wanted = newTables.filter(({ partitioned }) => !partitioned);
  const postponed = new Map<string, ConcurrentChangeError>();
  const postponeAltered = (present: readonly Table[]): void => {
    for (const name of alteredTables(wanted, present)) postponed.set(name, alteredBeforeCopy(name));
  };
  postponeAltered(tables);
  const locks = new TableLocks(source, database);
  // Each in a session of its own: an error ends the transaction that sees the snapshot.
  const copyOne = (table: SizedTable): Promise<void> =>
    withSnapshotSession(joining, async (session) => {
      const copy = copies.get(nameOfTable(table));
      if (!copy) throw alteredBeforeCopy(nameOfTable(table));
      const format = copyFormat(table, copy, await serverVersion(session), await serverVersion(target));
      await locks.during(session, [table], async (stop) => {
        const ended = AbortSignal.any([signal, stop]);
        await work.replicaLag.during(database, () =>
          copyTable({ source: session, target, table, format, signal: ended, rate: work.copyRate }),
        );
      });
    });
  const copyUnlessPostponed = async (table: SizedTable): Promise<void> => {
    const name = nameOfTable(table);
    if (postponed.has(name)) return;
    try {
      if (last.has(table.oid) && postponed.size > 0) throw tableReadsLaterTables([table], postponed.keys());
      await copyOne(table);
    } catch (error) {
      if (signal.aborted) throw error;
      if (error instanceof ConcurrentChangeError) postponed.set(name, error);
      // COPY fails in many ways if the table was altered while the snapshot was waited for.
      else postponeAltered(await withSnapshotSession(joining, listTables));
      if (!postponed.has(name)) throw error;
    }
  };
  try {
    for (const table of [...tables].sort((one, other) => Number(last.has(one.oid)) - Number(last.has(other.oid))))
      await copyUnlessPostponed(table);
  } finally {
    await locks.close();
  }
  // Only now, because the copy must follow the snapshot at once.
  postponeAltered(await withSnapshotSession(joining, listTables));
  const [first] = postponed.values();
  if (first && postponed.size === wanted.length) throw first;
  for (const [name, { message }] of postponed)
    await work.journal.event(`${name} is copied later: ${message.split("\n")[0]!}`, { database });
  return new Set(postponed.keys());
}

/** The tables that may differ from those that were created on the target. Qualified and quoted. */
function alteredTables(wanted: readonly Table[], present: readonly Table[]): string[] {
  const found = new Map(present.map((table) => [nameOfTable(table), table]));
  const isSame = (table: Table): boolean => {
    const now = found.get(nameOfTable(table));
    return now?.oid === table.oid && isDeepStrictEqual(now.columns, table.columns);
  };
  return wanted.filter((table) => !isSame(table)).map(nameOfTable);
}

const alteredBeforeCopy = (name: string): ConcurrentChangeError =>
  changedBeforeCopy(`${name} was altered or dropped on the source before it was copied`);
