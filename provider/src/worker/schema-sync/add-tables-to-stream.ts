import { ConcurrentChangeError, LockNotAvailableError, RefusedError, TimeoutError } from "../../errors.js";
import { ShapeDiffers } from "../../cdc/binding/table-mapping.js";
import type { Follower } from "../../cdc/follower.js";
import { changeCaptureNames, pointSlot } from "../../cdc/model/names.js";
import { createPublications } from "../../cdc/source/publication.js";
import { openTargetSession } from "../../cdc/target/target-session.js";
import { copyFormat } from "../../copy/format.js";
import { copyTable } from "../../copy/copy-table.js";
import { lockedSnapshot, withSnapshotSession } from "../../copy/snapshot.js";
import { yieldToWaiters } from "../../copy/yield-to-waiters.js";
import { type ComparisonSnapshot, comparisonSnapshot } from "../../cutover/comparison-snapshot.js";
import type { BlockingSession } from "../../postgres/locks/blocking-sessions.js";
import { qualify } from "../../postgres/identifiers.js";
import type { Lsn } from "../../postgres/lsn.js";
import { serverVersion } from "../../postgres/server-version.js";
import { useSearchPath } from "../../postgres/search-path.js";
import { type SizedTable, type Table, listSizedTables, listTables } from "../../postgres/tables.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { queueReporter } from "../monitoring/queued-snapshot.js";
import { insertOnlyFinding } from "./insert-only-finding.js";
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
 * 1. publishes them,
 * 2. takes a snapshot at an LSN of the source, and locks the new tables,
 * 3. applies all changes of the other tables up to that LSN,
 * 4. copies the new tables under the snapshot. From that LSN on the stream has all of their changes.
 *
 * The locks are released if a session of an application waits for them. While rows are copied, only the table that it waits for
 * is postponed. A repetition after a failure replaces the rows that were copied.
 *
 * @throws ConcurrentChangeError when a new table is dropped, renamed or replaced before it is locked, when a session waits to
 * lock it before rows are copied, or when every table is postponed
 * @throws LockNotAvailableError when transactions stay open on the source
 */
export async function addTablesToStream(objects: NewObjects, tablesToAdd: TablesToAdd): Promise<Joined> {
  const { work, database } = objects;
  const { tables, newTables, bridge } = tablesToAdd;
  const follower = bridge();
  try {
    const names = changeCaptureNames(work.spec, database);
    const [published] = await Promise.all([
      createPublications(objects.source, names, tables, { keyless: work.spec.keylessTables }),
      follower.hold(),
    ]);
    const isNew = new Set(newTables.map(nameOfTable));
    const insertOnly = published.insertOnlyTables.filter(
      (table) => !table.partitioned && isNew.has(nameOfTable(table)),
    );
    if (insertOnly.length > 0) await work.journal.findings([insertOnlyFinding(database, insertOnly)]);
    const { snapshot, lsn } = await lockedTables(objects, tablesToAdd, follower);
    try {
      return await yieldToWaiters({ source: work.source, database, snapshot }, (yielded) =>
        copyUnderSnapshot(objects, tablesToAdd, { follower, snapshot, lsn, yielded }),
      );
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

async function lockedTables(
  objects: NewObjects,
  { newTables, onWaiting, signal }: TablesToAdd,
  follower: Follower,
): Promise<ComparisonSnapshot> {
  const { work, database } = objects;
  const take = (): Promise<ComparisonSnapshot> =>
    comparisonSnapshot({
      source: work.source,
      database,
      slot: pointSlot(changeCaptureNames(work.spec, database)),
      plugin: objects.plugin,
      timeoutSeconds: openTransactionsSeconds,
      onWaiting: (sessions, reached) => {
        follower.releaseUpTo(reached);
        onWaiting(sessions);
      },
      onQueued: queueReporter(work, database),
      signal,
    });
  const tablesOf = async (): Promise<readonly Table[]> => {
    await requirePresent(objects, newTables);
    return newTables;
  };
  try {
    return await lockedSnapshot(take, tablesOf, () => Promise.resolve(), { ...lockOptions(work, database), signal });
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    const [what] = error.message.split("\n  To do: ");
    throw new LockNotAvailableError(`no snapshot of new tables could be taken: ${what!}`, {
      remedy: error.remedy!,
      cause: error,
    });
  }
}

interface LockedTables extends ComparisonSnapshot {
  readonly follower: Follower;
  /** Aborts when the snapshot and its locks are released for another session. */
  readonly yielded: AbortSignal;
}

async function copyUnderSnapshot(
  objects: NewObjects,
  { newTables, onCreated, signal }: TablesToAdd,
  { follower, snapshot, lsn, yielded }: LockedTables,
): Promise<Joined> {
  const ended = AbortSignal.any([signal, snapshot.lost, yielded]);
  await drainUnlessEnded(follower, lsn, ended);
  await follower.stop();
  const mark = await baselineOf(objects.work, objects.database, snapshot.id);
  let postponed: ReadonlySet<string> = new Set();
  const copy = async (): Promise<ReadonlySet<string>> => {
    await onCreated();
    // Each table is locked while it is read: one that an application needs must not delay the others.
    await snapshot.unlockTables();
    postponed = await copyTables(objects, newTables, snapshot.id, ended);
    // Indexes and keys need no snapshot: applications may lock the tables while they are built.
    await snapshot.release();
    return postponed;
  };
  const restored = await restoreMissing(objects, { snapshot: snapshot.id, copy, signal: ended });
  return { ...restored, mark, postponed };
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

/**
 * Copies the tables that applications leave unlocked and unaltered.
 *
 * @returns the other tables, qualified and quoted
 * @throws ConcurrentChangeError when none was copied
 */
async function copyTables(
  { work, database, sourceSearchPath, deferTriggersAndForeignKeys }: NewObjects,
  newTables: readonly Table[],
  snapshotId: string,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const { source, spec } = work;
  const joining = { source, database, snapshotId, purpose: `${spec.migrationName} join` };
  const names = new Set(newTables.map(nameOfTable));
  const isWanted = (table: Table): boolean => !table.partitioned && names.has(nameOfTable(table));
  const tables = await withSnapshotSession(joining, (session) => listSizedTables(session, isWanted));
  const target = await openTargetSession(work.target, targetDatabase(spec, database), {
    triggersDisabled: deferTriggersAndForeignKeys,
  });
  const locks = new TableLocks(source, database);
  try {
    const copies = new Map((await listTables(target)).map((table) => [nameOfTable(table), table]));
    await useSearchPath(target, sourceSearchPath);
    const postponed = new Map<string, ConcurrentChangeError>();
    // Each in a session of its own: an error ends the transaction that sees the snapshot.
    const copyOne = (table: SizedTable): Promise<void> =>
      withSnapshotSession(joining, async (session) => {
        await useSearchPath(session, sourceSearchPath);
        const copy = copies.get(nameOfTable(table))!;
        const format = copyFormat(table, copy, await serverVersion(session), await serverVersion(target));
        await locks.during(session, [table], async (stop) => {
          await copyTable({ source: session, target, table, format, signal: AbortSignal.any([signal, stop]) });
        });
      });
    for (const table of tables)
      try {
        await copyOne(table);
      } catch (error) {
        if (signal.aborted || !(error instanceof ConcurrentChangeError)) throw error;
        postponed.set(nameOfTable(table), error);
      }
    const [first] = postponed.values();
    if (first && postponed.size === tables.length) throw first;
    for (const [name, { message }] of postponed)
      await work.journal.event(`${name} is copied later: ${message.split("\n")[0]!}`, { database });
    return new Set(postponed.keys());
  } finally {
    await locks.close();
    await target.end();
  }
}
