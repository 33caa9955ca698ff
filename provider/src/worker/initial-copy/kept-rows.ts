import pg from "pg";
import type { Snapshot } from "../../copy/snapshot.js";
import { yieldToWaiters } from "../../copy/yield-to-waiters.js";
import { openInSnapshot } from "../../copy/snapshot.js";
import { ContentDiffersError, RefusedError, RetryableError } from "../../errors.js";
import { differingCopyInputs } from "../../inputs/copy-inputs.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { withTwoSessions } from "../../postgres/connection/two-sessions.js";
import { afterFailure, type SharedCopy } from "../../store/shared-copies.js";
import { compareDatabase, compareLargeObjectsOf } from "../comparison/compare-database.js";
import type { Work } from "../context/work.js";
import { connectToTarget, type CopyJob, purposeOf } from "./copy-context.js";
import { copyStateOf, type CopyState, type EarlierCopy, isUsable, readState, slotOf } from "./earlier-copy.js";
import { readSchema, schemaDigest } from "./read-schema.js";
import { snapshotLsn, takeSnapshot } from "./take-snapshot.js";

/**
 * Finds the rows of a failed attempt, if they are exactly what this attempt would copy. Otherwise it reports why they are
 * copied again.
 *
 * - The inputs, the version of the package and the schema of the source must be the same.
 * - Online, the slot must still start at the snapshot of the rows. The stream then contains all later changes.
 * - Offline, all rows must equal those of a new snapshot.
 */
export async function findKeptRows(job: CopyJob): Promise<EarlierCopy | undefined> {
  const { work, record, database, tasks } = job;
  const { sharedCopy: shared } = record;
  if (shared?.generation !== afterFailure) return undefined;
  const found = await keptRows(job, shared);
  const tables = `the rows of ${await tasks.copiedTables()} tables, which an earlier attempt copied,`;
  if (typeof found !== "string") {
    await work.journal.event(`${tables} are used again`, { database });
    return found;
  }
  await work.journal.withdrawFindings(database);
  await work.journal.event(`${tables} are copied again, because ${found}`, { database, level: "warning" });
  return undefined;
}

/** @returns why the rows cannot be used, if it is a text */
async function keptRows(job: CopyJob, shared: SharedCopy): Promise<EarlierCopy | string> {
  const { work, record, database } = job;
  if (!record.createdByUs) return "their database on the target was replaced";
  const state = await readState(work, database);
  if (!state) return "another version of the package copied them";
  const changed = differingCopyInputs(state.spec, work.spec);
  if (changed.length > 0) return `${changed.join(", ")} changed`;
  const slot = slotOf(state);
  if (slot && !(await isUsable(work, record, slot)))
    return `the slot ${slot.slot} does not exist, or no longer starts at their snapshot`;
  const { point, read } = await takeSnapshot(
    work,
    database,
    ({ id }, signal) => readSchema(work, database, id, signal),
    false,
  );
  try {
    if (schemaDigest(read) !== state.schema) return "the schema changed on the source";
    if (slot) return earlierCopy(shared, state, { ...state.point, slot });
    const difference = await differenceIn(job, point.snapshot);
    if (difference !== undefined) return difference;
    // From now on the rows are those of the new snapshot.
    await work.journal.database(database, { snapshotLsn: await snapshotLsn(work, database, point) });
    return { ...earlierCopy(shared, state, point), state: copyStateOf(point, state) };
  } finally {
    await point.snapshot.release();
  }
}

const earlierCopy = (
  shared: SharedCopy,
  { plan, skipped }: CopyState,
  { publications, mark, plugin, written, slot }: EarlierCopy["point"],
): EarlierCopy => ({
  shared: { ...shared, tablesCopied: true },
  snapshot: undefined,
  point: { publications, mark, plugin, written, slot },
  plan,
  skipped,
});

/** Compares all rows and large objects under a snapshot. @returns a difference, or why they cannot be compared */
async function differenceIn(job: CopyJob, snapshot: Snapshot): Promise<string | undefined> {
  const { work, database } = job;
  await work.journal.database(database, { message: "comparing the rows of an earlier attempt" });
  try {
    await yieldToWaiters({ source: work.source, database, snapshot }, (yielded) =>
      compareAll(job, snapshot, AbortSignal.any([work.signal, snapshot.lost, yielded])),
    );
    return undefined;
  } catch (error) {
    const isAnswer =
      error instanceof ContentDiffersError || error instanceof RefusedError || error instanceof pg.DatabaseError;
    if (work.signal.aborted || !isAnswer || error instanceof RetryableError || isConnectionLoss(error)) throw error;
    return error.message.split("\n  To do: ")[0]!.replace(/\n\s*/g, " ");
  }
}

async function compareAll(job: CopyJob, { id }: Snapshot, signal: AbortSignal): Promise<void> {
  const { work, database } = job;
  // Content also if `verification` has another value: equal counts do not prove equal rows.
  const exact: Work = { ...work, spec: { ...work.spec, verification: "content" } };
  await compareDatabase(exact, { database, snapshotId: id, signal, moment: { occasion: "copy" } });
  const purpose = "large objects";
  await withTwoSessions(
    () => openInSnapshot(work.source, database, id, purposeOf(work, purpose)),
    () => connectToTarget(job, purpose),
    (source, target) => compareLargeObjectsOf(exact, database, source, target),
  );
}
