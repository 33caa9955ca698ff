import pg from "pg";
import { emptyTarget } from "../../../copy/copy-table.js";
import { openInSnapshot } from "../../../copy/snapshot.js";
import { tableBytes, type TableToCopy } from "../../../copy/tables-to-copy.js";
import { yieldToWaiters } from "../../../copy/yield-to-waiters.js";
import { ContentDiffersError, RefusedError, RetryableError } from "../../../errors.js";
import { differingCopyInputs } from "../../../inputs/copy-inputs.js";
import { targetDatabase } from "../../../inputs/target-database.js";
import { isConnectionLoss } from "../../../postgres/connection/connection-loss.js";
import type { Endpoint } from "../../../postgres/connection/endpoint.js";
import { qualify } from "../../../postgres/identifiers.js";
import { withSession } from "../../../postgres/connection/with-session.js";
import { withTwoSessions } from "../../../postgres/connection/two-sessions.js";
import { generationAfterFailure, type SharedCopy } from "../../../store/shared-copies.js";
import { compareDatabase, compareLargeObjectsOf } from "../../comparison/compare-database.js";
import { enumerate } from "../../../units/enumerate.js";
import type { Work } from "../../context/work.js";
import { connectToTarget, type CopyJob, purposeOf } from "../copy-context.js";
import { copyStateOf, type CopyState, type EarlierCopy, isUsable, readState, slotOf } from "./earlier-copy.js";
import { readSchemaEntries, schemaDigest } from "../schema-entries.js";
import { type LockedCopyPoint, snapshotLsn, takeSnapshot } from "../take-snapshot.js";

const maxNamed = 20;

/**
 * Finds the rows of a failed attempt, if they are exactly what this attempt would copy. Otherwise it reports why they are
 * copied again.
 *
 * - The inputs, the version of the package and the schema of the source must be the same.
 * - Online, the slot must still start at the snapshot of the rows. The stream then contains all later changes.
 * - Offline, the rows must equal those of a new snapshot.
 */
export async function findKeptRows(job: CopyJob): Promise<EarlierCopy | undefined> {
  const { work, record, database, tasks } = job;
  const { sharedCopy: shared } = record;
  if (shared?.generation !== generationAfterFailure) return undefined;
  const found = await keptRows(job, shared);
  const count = await tasks.counts.copiedTables();
  const tables = `the rows of ${count} ${count === 1 ? "table" : "tables"}, which an earlier attempt copied,`;
  if (typeof found !== "string") {
    await work.journal.event(`${tables} are used again`, { database });
    return found;
  }
  await work.journal.withdrawFindings(database);
  await work.journal.event(`${tables} are copied again, because ${found}`, { database, level: "warning" });
  return undefined;
}

interface KeptRows {
  readonly shared: SharedCopy;
  readonly state: CopyState;
  readonly slot: EarlierCopy["point"]["slot"];
  /** A new snapshot, and the tables in it. */
  readonly taken: Pick<LockedCopyPoint<unknown>, "point" | "tables">;
  /** Tables whose rows are not all on the target, qualified and quoted. */
  readonly incomplete: ReadonlySet<string>;
  /** Aborts when an application waits for the locks of the snapshot. */
  readonly yielded: AbortSignal;
}

/** @returns why the rows cannot be used, if it is a text */
async function keptRows(job: CopyJob, shared: SharedCopy): Promise<EarlierCopy | string> {
  const { work, record, database, tasks } = job;
  if (!record.createdByUs) return "their database on the target was replaced";
  const state = await readState(work, database);
  if (!state) return "another version of the package copied them";
  const changed = differingCopyInputs(state.spec, work.spec);
  if (changed.length > 0) return `${changed.join(", ")} changed`;
  const slot = slotOf(state);
  if (slot && !(await isUsable(work, record, slot)))
    return `the slot ${slot.slot} does not exist, or no longer starts at their snapshot`;
  const taken = await takeSnapshot(
    work,
    database,
    ({ id }, signal) => readSchemaEntries(work, database, id, signal),
    false,
  );
  const { snapshot } = taken.point;
  let found: EarlierCopy | string | undefined;
  try {
    found = await yieldToWaiters({ source: work.source, database, snapshot }, async (yielded) => {
      const incomplete = new Set(shared.rowsCopied ? [] : await tasks.recovery.incomplete());
      const digest = await withSession(work.source, { database, purpose: purposeOf(work, "read") }, (session) =>
        schemaDigest(taken.read, session),
      );
      if (digest !== state.schema) return "the schema, a setting, an owner or a privilege changed on the source";
      const kept = { shared, state, slot, taken, incomplete, yielded };
      const rows = await (slot ? followedRows(job, kept) : equalRows(job, kept));
      if (typeof rows !== "string" && rows.snapshot) yielded.throwIfAborted();
      return rows;
    });
    return found;
  } finally {
    if (typeof found !== "object" || !found.snapshot) await snapshot.release();
  }
}

const nameOf = ({ table }: TableToCopy): string => qualify(table.schema, table.name);

/** Online, tables that are not complete join the stream later. */
async function followedRows(job: CopyJob, kept: KeptRows): Promise<EarlierCopy | string> {
  const { work, database, tasks } = job;
  const { shared, slot, incomplete } = kept;
  const { point, plan, skipped } = kept.state;
  if (!shared.rowsCopied) {
    const obstacle = await obstacleToJoining(job, kept);
    if (obstacle !== undefined) return obstacle;
    await tasks.recovery.postponeIncomplete("an earlier attempt failed before it was copied");
    const later = `copied later, when they join the stream: ${enumerate([...incomplete], maxNamed)}`;
    if (incomplete.size > 0) await work.journal.event(later, { database });
  }
  const copied = { ...shared, rowsCopied: true, tablesCopied: true };
  return { shared: copied, snapshot: undefined, point: { ...point, slot }, plan, skipped };
}

async function obstacleToJoining(
  { work, database }: CopyJob,
  { taken: { tables }, incomplete }: KeptRows,
): Promise<string | undefined> {
  const missing = tables.filter((table) => incomplete.has(nameOf(table)));
  const bytes = (some: readonly TableToCopy[]): number => some.reduce((sum, { table }) => sum + tableBytes(table), 0);
  if (2 * bytes(missing) > bytes(tables))
    return "most rows are missing, and tables that join the stream are copied one after another";
  const apart = missing.filter(({ table }) => table.unlogged || table.extensionConfiguration).map(nameOf);
  if (apart.length > 0) return `${enumerate(apart, maxNamed)} cannot join the stream`;
  return (await hasLargeObjects(work.source, database)) ? "large objects cannot join the stream" : undefined;
}

function hasLargeObjects(server: Endpoint, database: string): Promise<boolean> {
  return withSession(server, { database, purpose: "look for large objects" }, async (session) => {
    const { rowCount } = await session.query("SELECT FROM pg_catalog.pg_largeobject_metadata LIMIT 1");
    return rowCount !== 0;
  });
}

/** Offline, tables that are not complete are copied under the new snapshot. */
async function equalRows(job: CopyJob, kept: KeptRows): Promise<EarlierCopy | string> {
  const { work, database, tasks } = job;
  const { shared, state, taken, incomplete } = kept;
  const { point, tables } = taken;
  // Those that the source has deleted since would remain on the target.
  if (
    !shared.rowsCopied &&
    !shared.largeObjectsCopied &&
    (await hasLargeObjects(work.target, targetDatabase(work.spec, database)))
  )
    return "large objects were copied only in part";
  const difference = await differenceIn(job, kept);
  if (difference !== undefined) return difference;
  await tasks.recovery.restartIncomplete();
  const target = await connectToTarget(job, "empty");
  try {
    for (const one of tables)
      if (incomplete.has(nameOf(one)) && one.condition === undefined) await emptyTarget(target, one.table);
  } finally {
    await target.end();
  }
  // From now on the rows are those of the new snapshot.
  const place = { database, purpose: purposeOf(work, "position") };
  const lsn = await withSession(work.source, place, (source) => snapshotLsn(source, database, point));
  await work.journal.database(database, { snapshotLsn: lsn });
  const { id: snapshotId, txidSnapshot } = point.snapshot;
  return {
    shared: { ...shared, snapshotId, txidSnapshot, tablesCopied: shared.rowsCopied },
    snapshot: shared.rowsCopied ? undefined : point.snapshot,
    point,
    plan: state.plan,
    skipped: state.skipped,
    state: copyStateOf(point, state),
  };
}

/** Compares the copied rows and large objects under the new snapshot. @returns a difference, or why they cannot be compared */
async function differenceIn(job: CopyJob, kept: KeptRows): Promise<string | undefined> {
  const { work, database } = job;
  const { snapshot } = kept.taken.point;
  await work.journal.database(database, { message: "comparing the rows of an earlier attempt" });
  try {
    await compareAll(job, kept, AbortSignal.any([work.signal, snapshot.lost, kept.yielded]));
    return undefined;
  } catch (error) {
    kept.yielded.throwIfAborted();
    const isAnswer =
      error instanceof ContentDiffersError || error instanceof RefusedError || error instanceof pg.DatabaseError;
    if (work.signal.aborted || !isAnswer || error instanceof RetryableError || isConnectionLoss(error)) throw error;
    return error.message.split("\n  To do: ")[0]!.replace(/\n\s*/g, " ");
  }
}

async function compareAll(job: CopyJob, { shared, taken, incomplete }: KeptRows, signal: AbortSignal): Promise<void> {
  const { work, database } = job;
  const { id } = taken.point.snapshot;
  // Content also if `verification` has another value: equal counts do not prove equal rows.
  const exact: Work = { ...work, spec: { ...work.spec, verification: "content" } };
  await compareDatabase(exact, { database, snapshotId: id, signal, moment: { occasion: "copy" }, without: incomplete });
  if (!shared.rowsCopied && !shared.largeObjectsCopied) return;
  const purpose = "large objects";
  await withTwoSessions(
    () => openInSnapshot(work.source, database, id, purposeOf(work, purpose)),
    () => connectToTarget(job, purpose),
    (source, target) => compareLargeObjectsOf(exact, database, source, target),
  );
}
