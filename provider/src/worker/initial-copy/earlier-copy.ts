import { inspectSlot } from "../../cdc/source/slot-state.js";
import type { SlotIdentity } from "../../cdc/target/progress.js";
import { openInSnapshot, Snapshot, SnapshotGone } from "../../copy/snapshot.js";
import { engineVersion } from "../../engine-version.js";
import { RefusedError } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import { formatLsn, parseLsn } from "../../postgres/lsn.js";
import type { RestorePlan } from "../../schema/plan/restore-plan.js";
import type { DatabaseRecord } from "../../store/records.js";
import { sharedSnapshots, readCopyState, type SharedCopy } from "../../store/shared-copies.js";
import type { Skipped } from "../../store/copy-tasks.js";
import { selectedTables } from "../context/selected-tables.js";
import type { CopyPoint } from "./take-snapshot.js";
import type { Work } from "../context/work.js";

/** What a base copy leaves in the store for a worker that goes on with it. Plain JSON. */
interface CopyState {
  readonly engineVersion: string;
  readonly slot: (Omit<SlotIdentity, "consistentPoint"> & { readonly consistentPoint: string }) | undefined;
  readonly point: Omit<CopyPoint, "snapshot" | "slot">;
  /** What comes after the rows. */
  readonly plan: RestorePlan;
  readonly skipped: Skipped;
}

/** A base copy that an earlier worker has left, as one can go on with it. */
export interface EarlierCopy {
  readonly shared: SharedCopy;
  /** None where all rows are there: nobody needs it. */
  readonly snapshot: Snapshot | undefined;
  readonly point: Omit<CopyPoint, "snapshot">;
  readonly plan: RestorePlan;
  readonly skipped: Skipped;
}

export function copyStateOf(point: CopyPoint, plan: RestorePlan, skipped: Skipped): CopyState {
  const { slot, publications, mark, plugin } = point;
  return {
    engineVersion,
    slot: slot && { ...slot, consistentPoint: formatLsn(slot.consistentPoint) },
    point: { publications, mark, plugin },
    // The others have been run, or stand with the units.
    plan: { ...plan, before: [], builds: [] },
    skipped,
  };
}

/**
 * What an earlier worker has left of this database's copy, where one can go on with it: all rows are there, or another
 * session still holds the snapshot that they are of; online, the slot whose stream begins at that snapshot is there, too.
 * The caller releases the snapshot.
 */
export async function findEarlierCopy(work: Work, record: DatabaseRecord): Promise<EarlierCopy | undefined> {
  const { sharedCopy: shared, phase, createdByUs, name } = record;
  if (!shared || phase !== "copying" || (!createdByUs && !work.spec.dataOnly)) return undefined;
  const state = (await readCopyState(work.journal.lease, name)) as CopyState | null | undefined;
  if (state?.engineVersion !== engineVersion) return undefined;
  const slot = state.slot && { ...state.slot, consistentPoint: parseLsn(state.slot.consistentPoint) };
  if (slot && !(await isUsable(work, record, slot))) return undefined;
  const snapshot = shared.tablesCopied ? undefined : await survivingSnapshot(work, name, shared);
  if (!snapshot && !shared.tablesCopied) return undefined;
  return { shared, snapshot, point: { ...state.point, slot }, plan: state.plan, skipped: state.skipped };
}

/** Nothing has been confirmed to it yet, so that it still begins where the snapshot is. */
async function isUsable(
  { source }: Work,
  { name, slot: recorded }: DatabaseRecord,
  slot: SlotIdentity,
): Promise<boolean> {
  if (recorded !== slot.slot) return false;
  const session = await connect(source, { database: name, purpose: "look for slot" });
  try {
    const state = await inspectSlot(session, slot.slot);
    if (!state || state.walStatus === "lost") return false;
    return state.confirmedFlushLsn === undefined || state.confirmedFlushLsn === slot.consistentPoint;
  } finally {
    await session.end();
  }
}

/** Takes the snapshot over from whoever holds it, with its locks, as long as it is that very moment and shows all tables. */
async function survivingSnapshot(work: Work, database: string, shared: SharedCopy): Promise<Snapshot | undefined> {
  const held = await sharedSnapshots(work.journal.lease, database, shared.id);
  for (const id of [shared.snapshotId, ...held]) {
    const snapshot = await holdSnapshot(work, database, id, shared.moment);
    if (snapshot) return snapshot;
  }
  return undefined;
}

type SnapshotKeeper = Pick<Work, "source" | "spec" | "signal">;

/**
 * Holds a copy's snapshot in a session of its own, locks included; undefined where it is there no longer.
 *
 * @throws UnreachableError when the connection breaks
 */
export async function holdSnapshot(
  { source, spec, signal }: SnapshotKeeper,
  database: string,
  snapshotId: string,
  moment: string,
): Promise<Snapshot | undefined> {
  let snapshot: Snapshot | undefined;
  try {
    snapshot = await Snapshot.hold(source, database, snapshotId);
    // Servers that were started anew give out the same names for other snapshots.
    if (snapshot.moment === moment && (await locksAll({ source, spec, signal }, database, snapshot))) return snapshot;
  } catch (error) {
    if (!(error instanceof RefusedError || error instanceof SnapshotGone)) {
      await snapshot?.release();
      throw error;
    }
  }
  await snapshot?.release();
  return undefined;
}

async function locksAll(
  { source, spec, signal }: SnapshotKeeper,
  database: string,
  snapshot: Snapshot,
): Promise<boolean> {
  if (spec.schemaOnly) return true;
  const session = await openInSnapshot(source, database, snapshot.id, `${spec.migrationName} lock`);
  try {
    const tables = (await selectedTables(session, spec)).map(({ table }) => table);
    return (await snapshot.lockTables(tables, { signal })).length === 0;
  } finally {
    await session.end();
  }
}
