import { inspectSlot } from "../../../cdc/source/slot-state.js";
import type { SlotIdentity } from "../../../cdc/target/progress.js";
import { Snapshot, SnapshotGone } from "../../../copy/snapshot.js";
import { engineVersion } from "../../../engine-version.js";
import { RefusedError } from "../../../errors.js";
import type { MigrationSpec } from "../../../inputs/inputs.js";
import { withSession } from "../../../postgres/connection/with-session.js";
import { formatLsn, parseLsn } from "../../../postgres/lsn.js";
import type { RestorePlan } from "../../../schema/plan/restore-plan.js";
import type { DatabaseRecord } from "../../../store/records.js";
import {
  generationAfterFailure,
  sharedSnapshots,
  readCopyState,
  type SharedCopy,
} from "../../../store/shared-copies.js";
import type { Skipped } from "../../../store/copy-tasks/copy-task.js";
import { selectedTablesIn } from "../../context/selected-tables.js";
import type { CopyPoint } from "../take-snapshot.js";
import type { Work } from "../../context/work.js";

/** State of an initial copy, stored as JSON for a successor. */
export interface CopyState {
  readonly engineVersion: string;
  readonly slot: (Omit<SlotIdentity, "consistentPoint"> & { readonly consistentPoint: string }) | undefined;
  readonly point: Omit<CopyPoint, "snapshot" | "slot">;
  readonly spec: MigrationSpec;
  /** The {@link schemaDigest} of the source as of the snapshot. */
  readonly schema: string;
  /** The steps after the rows. */
  readonly plan: RestorePlan;
  readonly skipped: Skipped;
}

/** An initial copy of an earlier worker that can be resumed. */
export interface EarlierCopy {
  readonly shared: SharedCopy;
  /** What a successor needs, if it differs from what is recorded. */
  readonly state?: CopyState;
  /** Undefined if all rows are copied. */
  readonly snapshot: Snapshot | undefined;
  readonly point: Omit<CopyPoint, "snapshot">;
  readonly plan: RestorePlan;
  readonly skipped: Skipped;
}

export function copyStateOf(
  point: CopyPoint,
  { spec, schema, plan, skipped }: Pick<CopyState, "spec" | "schema" | "plan" | "skipped">,
): CopyState {
  const { slot, publications, mark, plugin, written } = point;
  return {
    engineVersion,
    spec,
    schema,
    slot: slot && { ...slot, consistentPoint: formatLsn(slot.consistentPoint) },
    point: { publications, mark, plugin, written },
    // The other entries are restored, or stored with the copy tasks.
    plan: { ...plan, before: [], builds: [] },
    skipped,
  };
}

/**
 * Finds the copy of an earlier worker, if it can be resumed: all rows are copied, or another session still holds its
 * snapshot. Online, the slot whose stream starts at that snapshot must also exist. The caller releases the snapshot.
 */
export async function findEarlierCopy(work: Work, record: DatabaseRecord): Promise<EarlierCopy | undefined> {
  const { sharedCopy: shared, phase, createdByUs, name } = record;
  if (!shared || shared.generation === generationAfterFailure || phase !== "copying") return undefined;
  if (!createdByUs && !work.spec.dataOnly) return undefined;
  const state = await readState(work, name);
  if (!state) return undefined;
  const slot = slotOf(state);
  if (slot && !(await isUsable(work, record, slot))) return undefined;
  const snapshot = shared.tablesCopied ? undefined : await survivingSnapshot(work, name, shared);
  if (!snapshot && !shared.tablesCopied) return undefined;
  const how = snapshot
    ? "resuming the copy of an earlier worker under the same snapshot, which another session held"
    : "resuming after the copy of an earlier worker: all rows are copied";
  await work.journal.event(how, { database: name });
  return { shared, snapshot, point: { ...state.point, slot }, plan: state.plan, skipped: state.skipped };
}

/** Undefined if another version of the package recorded it. */
export async function readState({ journal }: Work, database: string): Promise<CopyState | undefined> {
  const state = (await readCopyState(journal.lease, database)) as CopyState | null | undefined;
  return state?.engineVersion === engineVersion ? state : undefined;
}

export const slotOf = ({ slot }: CopyState): SlotIdentity | undefined =>
  slot && { ...slot, consistentPoint: parseLsn(slot.consistentPoint) };

/** Whether the slot exists and nothing was confirmed yet, so that its stream still starts at the snapshot. */
export async function isUsable(
  { source }: Work,
  { name, slot: recorded }: DatabaseRecord,
  slot: SlotIdentity,
): Promise<boolean> {
  if (recorded !== slot.slot) return false;
  const state = await withSession(source, { database: name, purpose: "look for slot" }, (session) =>
    inspectSlot(session, slot.slot),
  );
  if (!state || state.walStatus === "lost") return false;
  return state.confirmedFlushLsn === undefined || state.confirmedFlushLsn === slot.consistentPoint;
}

/** Holds the snapshot that another session exported; offline, with its table locks. Checks that it is the same moment. */
async function survivingSnapshot(work: Work, database: string, shared: SharedCopy): Promise<Snapshot | undefined> {
  const held = await sharedSnapshots(work.journal.lease, database, shared.id);
  for (const id of [shared.snapshotId, ...held]) {
    const snapshot = await holdSnapshot(work, database, id, shared.txidSnapshot);
    if (snapshot) return snapshot;
  }
  return undefined;
}

type SnapshotKeeper = Pick<Work, "source" | "spec" | "signal">;

/**
 * Holds a copy's snapshot in a separate session; offline, with its table locks.
 *
 * @returns undefined if the snapshot no longer exists
 * @throws UnreachableError if the connection is lost
 */
export async function holdSnapshot(
  { source, spec, signal }: SnapshotKeeper,
  database: string,
  snapshotId: string,
  txidSnapshot: string,
): Promise<Snapshot | undefined> {
  let snapshot: Snapshot | undefined;
  try {
    snapshot = await Snapshot.hold(source, database, snapshotId);
    // A restarted server reuses snapshot names.
    if (snapshot.txidSnapshot === txidSnapshot && (await locksAll({ source, spec, signal }, database, snapshot)))
      return snapshot;
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
  // Online, each table is locked while it is read.
  if (spec.schemaOnly || spec.migrationMode === "Online") return true;
  const place = { database, snapshotId: snapshot.id, purpose: "lock" };
  const tables = await selectedTablesIn({ source, spec }, place);
  const replaced = await snapshot.lockTables(
    tables.map(({ table }) => table),
    { signal },
  );
  return replaced.length === 0;
}
