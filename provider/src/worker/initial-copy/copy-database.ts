import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { mayBecomeReplica } from "../../cdc/target/target-session.js";
import { type Snapshot } from "../../copy/snapshot.js";
import { emptyUnloggedTables } from "../../copy/empty-unlogged-tables.js";
import { yieldToWaiters } from "../../copy/yield-to-waiters.js";
import { isSmall, type TableToCopy } from "../../copy/tables-to-copy.js";
import { TimeoutError } from "../../errors.js";
import { qualify, type RelationName } from "../../postgres/identifiers.js";
import { readTrustedOwners } from "../../postgres/trusted-owners.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { withTwoSessions } from "../../postgres/connection/two-sessions.js";
import { connect } from "../../postgres/connection/connect.js";
import type { Entry } from "../../schema/sql/toc-entries.js";
import { readRestoreContext, readSearchPath } from "../../schema/restore/restore-context.js";
import { planRestore, type RestorePlan } from "../../schema/plan/restore-plan.js";
import { type LeftObject, readSelection, selectEntries } from "../../schema/plan/selection.js";
import type { OmittedObject } from "../../store/journal.js";
import type { DatabaseRecord } from "../../store/records.js";
import { enumerate } from "../../units/enumerate.js";
import { deleteSharedSnapshots } from "../../store/shared-copies.js";
import { CopyTasks } from "../../store/copy-tasks/copy-tasks.js";
import { endEarlierSessions } from "../cleanup/earlier-sessions.js";
import { dropSourceObjects } from "../cleanup/source-objects.js";
import { reportFindings } from "../context/report-findings.js";
import { selectedTablesIn } from "../context/selected-tables.js";
import type { Work } from "../context/work.js";
import { BlockedSessionsMonitor } from "../monitoring/blocked-sessions-monitor.js";
import { type CopyContext, type CopyJob, CopySharing, connectToTarget, purposeOf } from "./copy-context.js";
import { copyRows } from "./copy-rows.js";
import { skipTables } from "./copy-tasks.js";
import { copyStateOf, findEarlierCopy, type EarlierCopy } from "./retry/earlier-copy.js";
import { finishCopy } from "./finish-copy.js";
import { findKeptRows } from "./retry/kept-rows.js";
import { refuseHandedOver } from "./retry/refuse-handed-over.js";
import { planCopyTasks } from "./plan-tasks.js";
import { deferredEntriesOf, type PostCutoverPlan } from "./post-cutover-plan.js";
import { createDatabase, prepareExistingTables } from "./prepare-target.js";
import { readSchemaEntries, schemaDigest } from "./schema-entries.js";
import { refuseOccupiedDatabase } from "./refuse-occupied-database.js";
import { restoreBeforeRows } from "./restore-before-rows.js";
import {
  lockedSnapshotOf,
  orAltered,
  requireSameDefinitions,
  snapshotLsn,
  takeSnapshot,
  type CopyPoint,
} from "./take-snapshot.js";

const emptyPlan: RestorePlan = {
  before: [],
  builds: [],
  deferredBuilds: [],
  after: [],
  validations: [],
  deferTriggersAndForeignKeys: false,
  firing: [],
  firingValidations: [],
  handover: [],
  materializedViews: [],
};

const earlierSessionsTimeoutMs = 30_000;
const maxNamed = 20;

/**
 * Copies schema and rows of one database as of one snapshot. For an online migration, the slot's stream starts at that
 * snapshot. Other workers may share the copy.
 *
 * Resumes the copy of an earlier worker if its snapshot still exists or all rows are copied. Uses the rows of a failed attempt if
 * they are the same. Otherwise it starts again, because rows of a lost snapshot belong to another moment.
 */
export async function copyDatabase(work: Work, record: DatabaseRecord): Promise<PostCutoverPlan> {
  const database = record.name;
  const tasks = new CopyTasks(work.journal.lease, database);
  const sharing = new CopySharing(work, database);
  const job: CopyJob = { work, record, database, tasks, sharing };
  await refuseHandedOver(work, record);
  await endEarlierTargetSessions(job);
  const running = await findEarlierCopy(work, record);
  await endEarlierSnapshots(work, database);
  const monitor = new BlockedSessionsMonitor(work, database);
  try {
    if (!running) await refuseOccupiedDatabase(work, record.targetName);
    const earlier = running ?? (await findKeptRows(job));
    return (earlier && (await resumeCopy(job, earlier))) ?? (await startCopy(job));
  } finally {
    await monitor.close();
  }
}

async function startCopy(job: CopyJob): Promise<PostCutoverPlan> {
  const { work, record, database } = job;
  const { journal, spec } = work;
  await removeEarlierAttempt(job);
  const starting = {
    phase: "copying",
    state: "InProgress",
    message: "creating the database",
    sharedCopy: null,
  } as const;
  await Promise.all([
    journal.database(database, starting),
    deleteSharedSnapshots(journal.lease, database),
    journal.copyStarts(database),
  ]);
  if (!spec.dataOnly) await reportFindings(work, database, await createDatabase(work, record));
  const { point, tables, read } = await takeSnapshot(work, database, ({ id }, signal) =>
    spec.dataOnly ? Promise.resolve([]) : readSchemaEntries(work, database, id, signal),
  );
  return underLocks(job, point, async (source, target, signal) => {
    // Only here: while the target does not answer, applications would wait for the locks of the snapshot.
    await journal.database(database, { snapshotLsn: await snapshotLsn(source, database, point) });
    const plan = (): Promise<CopyContext> => planCopy(job, { point, source, target, tables, entries: read, signal });
    const context = await orAltered(work, database, point, plan);
    const queue = (): Promise<void> => queueTasks(context, tables, point);
    // Wait for both steps, also if one fails: the next attempt must not run concurrently with either. A changed definition is
    // reported first, because the restore may have failed for it.
    const digest = schemaDigest(read, source);
    const steps = [orAltered(work, database, point, queue), restoreBeforeRows(context), digest] as const;
    await Promise.allSettled(steps);
    for (const step of steps) await step;
    await offerCopy(context, point, await digest);
    return copyAndFinish(context, tables);
  });
}

/**
 * Resumes under the same snapshot, or without one if all rows are copied.
 *
 * @returns undefined if rows are missing that can only be copied under another snapshot
 */
async function resumeCopy(job: CopyJob, earlier: EarlierCopy): Promise<PostCutoverPlan | undefined> {
  const { work, database, tasks, sharing } = job;
  const { shared, snapshot, point, plan, skipped } = earlier;
  return underLocks(job, { snapshot, slot: point.slot }, async (source, target, signal) => {
    // In the session that ends with the copy: after a later crash of the target, the copy is resumed once more.
    const emptied = await tasks.withRows(await emptyUnloggedTables(target));
    if (emptied.length > 0) {
      await reportEmptied(job, emptied, snapshot !== undefined);
      if (!snapshot) return undefined;
      await tasks.recovery.repeat(emptied);
    }
    const { sourceSearchPath } = shared;
    const restore = await readRestoreContext(target, { sourceSearchPath, resumed: true, signal });
    skipTables(restore, skipped);
    const selection = await readSelection(source, work.spec);
    await tasks.recovery.resumeClaims();
    const rowsCopied = shared.rowsCopied && emptied.length === 0;
    await sharing.resume({ ...shared, rowsCopied, snapshotId: snapshot?.id ?? shared.snapshotId }, earlier.state);
    const tables = snapshot
      ? await selectedTablesIn(work, { database, snapshotId: snapshot.id, purpose: "catalogue" })
      : [];
    return copyAndFinish({ ...job, ...point, snapshot, source, target, selection, plan, restore, signal }, tables);
  });
}

function reportEmptied(
  { work, database }: CopyJob,
  tables: readonly RelationName[],
  isResumed: boolean,
): Promise<void> {
  const names = enumerate(tables.map(keyOf), maxNamed);
  const next = isResumed ? "they are copied again" : "all rows are copied again, because their snapshot has ended";
  const message = `the target has crashed, which emptied these unlogged tables: ${names}; ${next}`;
  return work.journal.event(message, { database, level: "warning" });
}

async function copyAndFinish(context: CopyContext, tables: readonly TableToCopy[]): Promise<PostCutoverPlan> {
  await copyRows(context, tables);
  const joining = await postponedTables(context);
  await finishCopy(context, Object.keys(joining));
  const { plan, restore, selection, publications, mark, plugin } = context;
  return {
    handover: plan.handover,
    keptBack: deferredEntriesOf(plan),
    materializedViews: plan.materializedViews,
    sourceSearchPath: restore.sourceSearchPath ?? "",
    publications,
    mark,
    plugin,
    cutSequences: [...selection.cutSequences],
    without: [...selection.cut, ...restore.missing],
    joining,
  };
}

/** The OIDs of the tables that join the stream later, by their names as of the snapshot. */
async function postponedTables({ tasks, mark }: CopyContext): Promise<Record<string, number>> {
  const postponed = new Set(await tasks.postponed());
  const named = Object.entries(mark?.names ?? {}).map(([oid, name]) => [name, Number(oid)] as const);
  return Object.fromEntries(named.filter(([name]) => postponed.has(name)));
}

/**
 * Releases the snapshot if an application waits for a table that it locks. Online, {@link TableLocks} replace its locks while
 * rows are copied.
 *
 * @throws ConcurrentChangeError if the snapshot was released for an application
 */
function underLocks<Result>(
  job: CopyJob,
  { snapshot, slot }: Pick<CopyContext, "snapshot" | "slot">,
  run: (source: Client, target: Client, signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const { work, database } = job;
  if (!snapshot) return inSessions(job, snapshot, (source, target) => run(source, target, work.signal));
  return yieldToWaiters(lockedSnapshotOf(work, database, { snapshot, slot }), (yielded) =>
    inSessions(job, snapshot, (source, target) =>
      run(source, target, AbortSignal.any([work.signal, snapshot.lost, yielded])),
    ),
  );
}

/** Runs with a session in each database, and releases the snapshot afterwards. */
async function inSessions<Result>(
  job: CopyJob,
  snapshot: Snapshot | undefined,
  run: (source: Client, target: Client) => Promise<Result>,
): Promise<Result> {
  const { work, database } = job;
  try {
    return await withTwoSessions(
      () => connectToTarget(job, "restore"),
      () => connect(work.source, { database, purpose: purposeOf(work, "read") }),
      (target, source) => run(source, target),
    );
  } finally {
    await snapshot?.release();
  }
}

/** Waits until statements of earlier workers on the target have ended, because they could interfere with this copy. */
async function endEarlierTargetSessions({ tasks, record }: CopyJob): Promise<void> {
  await tasks.recovery.pauseClaims();
  const deadline = Date.now() + earlierSessionsTimeoutMs;
  while ((await tasks.recovery.takeBack(true)).sessions > 0) {
    if (Date.now() > deadline)
      throw new TimeoutError(`sessions of an earlier worker on ${record.targetName} do not end`, {
        remedy:
          "on the target, terminate the sessions whose application_name starts with pg-migration: pg_terminate_backend",
      });
    await sleep(200);
  }
}

/** The copy holds the earlier snapshot itself by now. The former leader's session would only keep the source from vacuuming. */
async function endEarlierSnapshots(work: Work, database: string): Promise<void> {
  const { owner } = work;
  if (!owner || owner.generation === 1) return;
  await withSession(work.source, { database, purpose: purposeOf(work, "take over") }, (session) =>
    endEarlierSessions(session, owner, { onlyIn: database }),
  );
}

async function removeEarlierAttempt({ work, record, database }: CopyJob): Promise<void> {
  const { journal, source, spec } = work;
  if (record.slot === undefined && record.publications.length === 0) return;
  for (const note of await dropSourceObjects(source, spec, database))
    await journal.event(note, { database, level: "warning" });
  await journal.database(database, { slot: null, publications: [] });
}

interface CopyInput {
  readonly point: CopyPoint;
  readonly source: Client;
  readonly target: Client;
  readonly tables: readonly TableToCopy[];
  /** The schema of the source as of the snapshot. */
  readonly entries: readonly Entry[];
  readonly signal: AbortSignal;
}

async function planCopy(job: CopyJob, input: CopyInput): Promise<CopyContext> {
  const { point, source, target, tables, entries, signal } = input;
  const { spec } = job.work;
  const selection = await readSelection(source, spec);
  await job.work.journal.omitted(job.database, selection.left.map(omittedByFilter));
  const sourceSearchPath = await readSearchPath(source);
  const restore = await readRestoreContext(target, { sourceSearchPath, signal });
  const deferTriggersAndForeignKeys = point.slot !== undefined && !(await mayBecomeReplica(target));
  const trusted = await readTrustedOwners(source);
  const large = new Set(tables.filter(({ table }) => !isSmall(table)).map(({ table }) => keyOf(table)));
  const plan = spec.dataOnly
    ? emptyPlan
    : planRestore(selectEntries(entries, selection), {
        deferTriggersAndForeignKeys,
        isSmall: (table) => !large.has(keyOf(table)),
        isTrusted: (owner) => trusted.has(owner),
      });
  return { ...job, ...point, source, target, selection, plan, restore, signal };
}

async function queueTasks(
  { work, database, tasks, source, target, plan }: CopyContext,
  tables: readonly TableToCopy[],
  point: CopyPoint,
): Promise<void> {
  if (work.spec.dataOnly) await prepareExistingTables(work, target, tables);
  await tasks.replace(await planCopyTasks(source, tables, plan.builds, work.spec.splitTablesLargerThan));
  if (!point.slot) return;
  await requireSameDefinitions(work, database, point);
  // From here on, a table that is altered before it is read is copied later, when it joins the stream.
  await point.snapshot.unlockTables();
}

/** From here on other workers may share the copy, and a successor may resume it. */
async function offerCopy(
  { work, sharing, plan, restore }: CopyContext,
  point: CopyPoint,
  schema: string,
): Promise<void> {
  const skipped = { entries: [...restore.skipped], missing: [...restore.missing] };
  await sharing.begin(
    {
      snapshotId: point.snapshot.id,
      txidSnapshot: point.snapshot.txidSnapshot,
      sourceSearchPath: restore.sourceSearchPath ?? "",
      skipped: skipped.entries,
    },
    copyStateOf(point, { spec: work.spec, schema, plan, skipped }),
  );
}

const omittedByFilter = ({ what, isNamed }: LeftObject): OmittedObject => ({
  object: what,
  reason: isNamed ? "it is not selected by include and exclude" : "it depends on an object that is not selected",
});

const keyOf = ({ schema, name }: RelationName): string => qualify(schema, name);
