import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { initProgress } from "../../cdc/target/progress.js";
import { mayBecomeReplica } from "../../cdc/target/target-session.js";
import { copyLargeObjects } from "../../copy/large-objects.js";
import { carrySequences } from "../../copy/sequences.js";
import { openInSnapshot, type Snapshot } from "../../copy/snapshot.js";
import { yieldToWaiters } from "../../copy/yield-to-waiters.js";
import { isSmall, type TableToCopy } from "../../copy/tables-to-copy.js";
import { engineVersion } from "../../engine-version.js";
import { TimeoutError } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import { qualify } from "../../postgres/identifiers.js";
import { withTwoSessions } from "../../postgres/connection/two-sessions.js";
import { carryConnectionLimit } from "../../schema/database/database.js";
import { dumpSchema } from "../../schema/dump/dump.js";
import { parseTocEntries, type Entry } from "../../schema/sql/toc-entries.js";
import type { RestoreFinding } from "../../schema/sql/restore-findings.js";
import { largeObjectEntries } from "../../schema/plan/large-object-entries.js";
import { refreshMaterializedViews } from "../../schema/restore/materialized-views.js";
import { readRestoreContext, readSearchPath, type RestoreContext } from "../../schema/restore/restore-context.js";
import { withoutTemporaryReplicaIdentities } from "../../schema/plan/temporary-replica-identity.js";
import { planRestore, type RestorePlan } from "../../schema/plan/restore-plan.js";
import type { RelationName } from "../../postgres/identifiers.js";
import { batches, restoreEntries, restoreEntry, restoreTogether } from "../../schema/restore/restore.js";
import {
  hiddenTables,
  readSelection,
  selectEntries,
  selectsAll,
  relationKey,
  type Selection,
} from "../../schema/plan/selection.js";
import { validateConstraint } from "../../schema/restore/validate-constraint.js";
import type { DatabaseRecord } from "../../store/records.js";
import { deleteSharedSnapshots, type SharedCopy } from "../../store/shared-copies.js";
import { CopyTasks } from "../../store/copy-tasks.js";
import { compareDatabase, compareLargeObjectsOf, compareSchemas } from "../comparison/compare-database.js";
import { analyzeDatabase } from "./analyze.js";
import { runCopyTasks, skipTables } from "./copy-tasks.js";
import { endEarlierSessions } from "../cleanup/earlier-sessions.js";
import { copyStateOf, findEarlierCopy, type EarlierCopy } from "./earlier-copy.js";
import { BlockedSessionsMonitor } from "../monitoring/blocked-sessions-monitor.js";
import { planCopyTasks } from "./plan-tasks.js";
import { createDatabase, prepareExistingTables } from "./prepare-target.js";
import { deferredEntriesOf, type PostCutoverPlan } from "./post-cutover-plan.js";
import { reportFindings } from "../context/report-findings.js";
import { selectedTables } from "../context/selected-tables.js";
import { runInParallel } from "../context/run-in-parallel.js";
import { dropSourceObjects } from "../cleanup/source-objects.js";
import { hasReleasedOften, takeSnapshot, type CopyPoint } from "./take-snapshot.js";
import type { Work } from "../context/work.js";

/**
 * Brings schema and rows of one database to the target as they were at one moment; for an online migration, at the
 * beginning of its slot's stream. Other workers may share the copy. One that an earlier worker has left is gone on with
 * where its snapshot still lives, or is needed no longer; else it is thrown away: rows copied under a snapshot that is gone
 * belong to another moment.
 */
export async function copyDatabase(work: Work, record: DatabaseRecord): Promise<PostCutoverPlan> {
  const copy = new BaseCopy(work, record);
  return copy.run();
}

const nothing: RestorePlan = {
  before: [],
  builds: [],
  lateBuilds: [],
  after: [],
  validations: [],
  deferTriggersAndForeignKeys: false,
  firing: [],
  firingValidations: [],
  handover: [],
  materializedViews: [],
};

/** What the steps of one copy share. */
interface CopyContext extends Omit<CopyPoint, "snapshot"> {
  /** None where an earlier worker has copied all rows. */
  readonly snapshot: Snapshot | undefined;
  /** Sessions in the source and in the target database. */
  readonly source: Client;
  readonly target: Client;
  readonly selection: Selection;
  readonly plan: RestorePlan;
  readonly context: RestoreContext;
  readonly signal: AbortSignal;
}

const leftSessionsWithinMs = 30_000;

class BaseCopy {
  readonly #name: string;
  readonly #units: CopyTasks;
  #shared: SharedCopy | undefined;
  #copiesRows = false;

  constructor(
    readonly work: Work,
    readonly record: DatabaseRecord,
  ) {
    this.#name = record.name;
    this.#units = new CopyTasks(work.journal.lease, record.name);
  }

  async run(): Promise<PostCutoverPlan> {
    await this.#endLeftSessions();
    const earlier = await findEarlierCopy(this.work, this.record);
    await this.#endLeftSnapshots();
    const heldUp = new BlockedSessionsMonitor(this.work, this.#name);
    try {
      return await (earlier ? this.#goOn(earlier) : this.#begin());
    } finally {
      await heldUp.stop();
    }
  }

  async #begin(): Promise<PostCutoverPlan> {
    const { journal, spec } = this.work;
    await this.#removeEarlierTry();
    await journal.database(this.#name, {
      phase: "copying",
      state: "InProgress",
      message: "creating the database",
      sharedCopy: null,
    });
    await deleteSharedSnapshots(journal.lease, this.#name);
    if (!spec.dataOnly) await this.#report(await createDatabase(this.work, this.record));
    const { point, tables, read } = await takeSnapshot(this.work, this.#name, ({ id }, signal) =>
      spec.dataOnly ? Promise.resolve([]) : this.#dump(id, signal),
    );
    return this.#underLocks(point.snapshot, async (source, target, signal) => {
      const scene = await this.#scene({ ...point, source, target, signal }, tables, read);
      // Both have to end before anything follows, or another try: neither could be told from what comes then.
      const steps = await Promise.allSettled([this.#restoreBefore(scene), this.#queueUnits(scene, tables)]);
      for (const step of steps) if (step.status === "rejected") throw step.reason;
      await this.#offer(point, scene);
      return this.#fill(scene, tables);
    });
  }

  /** Under the same snapshot, or where nobody needs it any more. */
  async #goOn({ shared, snapshot, point, plan, skipped }: EarlierCopy): Promise<PostCutoverPlan> {
    const { journal, spec } = this.work;
    const how = snapshot
      ? "going on with the copy of the worker before under the same snapshot, which another one has held"
      : "going on with what the worker before has left to do: all rows are copied";
    await journal.event(how, { database: this.#name });
    return this.#underLocks(snapshot, async (source, target, signal) => {
      const { sourceSearchPath } = shared;
      const context = await readRestoreContext(target, { sourceSearchPath, resumed: true, signal });
      skipTables(context, skipped);
      const selection = await readSelection(source, spec);
      await this.#units.release();
      await this.#share({
        ...shared,
        generation: this.work.generation,
        snapshotId: snapshot?.id ?? shared.snapshotId,
      });
      const tables = snapshot && !spec.schemaOnly ? await this.#tablesIn(snapshot) : [];
      return this.#fill({ ...point, snapshot, source, target, selection, plan, context, signal }, tables);
    });
  }

  /**
   * Gives up the snapshot if an application waits for a table that it has locked, and this copy behind that application;
   * before rows are copied also if the application has waited for half a second.
   *
   * @throws ConcurrentChangeError when the snapshot was released for an application
   */
  #underLocks(
    snapshot: Snapshot | undefined,
    run: (source: Client, target: Client, signal: AbortSignal) => Promise<PostCutoverPlan>,
  ): Promise<PostCutoverPlan> {
    const { signal, source: endpoint } = this.work;
    if (!snapshot) return this.#inSessions(snapshot, (source, target) => run(source, target, signal));
    const isPatient = (): boolean => this.#copiesRows || hasReleasedOften(this.work);
    const locked = { source: endpoint, database: this.#name, snapshot, isPatient };
    return yieldToWaiters(locked, (yielded) =>
      this.#inSessions(snapshot, (source, target) =>
        run(source, target, AbortSignal.any([signal, snapshot.lost, yielded])),
      ),
    );
  }

  async #inSessions(
    snapshot: Snapshot | undefined,
    run: (source: Client, target: Client) => Promise<PostCutoverPlan>,
  ): Promise<PostCutoverPlan> {
    const opened: Client[] = [];
    try {
      const target = await this.#connectTarget("restore");
      opened.push(target);
      const source = await connect(this.work.source, { database: this.#name, purpose: this.#purpose("read") });
      opened.push(source);
      return await run(source, target);
    } finally {
      await Promise.all(opened.map((session) => session.end()));
      await snapshot?.release();
    }
  }

  async #fill(scene: CopyContext, tables: readonly TableToCopy[]): Promise<PostCutoverPlan> {
    await this.#copyRows(scene, tables);
    await this.#finish(scene);
    const { plan, context, selection, publications, mark, plugin } = scene;
    return {
      handover: plan.handover,
      keptBack: deferredEntriesOf(plan),
      materializedViews: plan.materializedViews,
      sourceSearchPath: context.sourceSearchPath ?? "",
      publications,
      mark,
      plugin,
      cutSequences: [...selection.cutSequences],
      without: [...selection.cut, ...context.missing],
    };
  }

  /** What workers before this one still run on the target must not come between. */
  async #endLeftSessions(): Promise<void> {
    await this.#units.withhold();
    const deadline = Date.now() + leftSessionsWithinMs;
    while ((await this.#units.takeBack(true)).sessions > 0) {
      if (Date.now() > deadline)
        throw new TimeoutError(`sessions of an earlier worker on ${this.record.targetName} do not end`, {
          remedy: "end them on the target: pg_terminate_backend of those that pg_stat_activity names pg-migration",
        });
      await sleep(200);
    }
  }

  /**
   * What the copy goes on under, if it does, has been taken over; the former leader's would only keep the source from
   * vacuuming.
   */
  async #endLeftSnapshots(): Promise<void> {
    const { owner } = this.work;
    if (!owner || owner.generation === 1) return;
    const session = await connect(this.work.source, { database: this.#name, purpose: this.#purpose("take over") });
    await endEarlierSessions(session, owner, { onlyIn: this.#name }).finally(() => session.end());
  }

  async #scene(
    begun: Omit<CopyContext, "selection" | "plan" | "context">,
    tables: readonly TableToCopy[],
    dumped: readonly Entry[],
  ): Promise<CopyContext> {
    const { spec } = this.work;
    const { source, target, slot, signal } = begun;
    const selection = await readSelection(source, spec);
    const sourceSearchPath = await readSearchPath(source);
    const context = await readRestoreContext(target, { sourceSearchPath, signal });
    const deferTriggersAndForeignKeys = slot !== undefined && !(await mayBecomeReplica(target));
    const entries = selectEntries(dumped, selection);
    const large = new Set(tables.filter(({ table }) => !isSmall(table)).map(({ table }) => keyOf(table)));
    const plan = spec.dataOnly
      ? nothing
      : planRestore(entries, { deferTriggersAndForeignKeys, isSmall: (table) => !large.has(keyOf(table)) });
    return { ...begun, selection, plan, context };
  }

  async #dump(snapshot: string, signal: AbortSignal): Promise<Entry[]> {
    const { source, journal } = this.work;
    await journal.database(this.#name, { message: "reading the schema" });
    const without = await this.#hiddenTables();
    const { text, tool } = await dumpSchema(source, this.#name, { snapshot, without, signal });
    const entries = withoutTemporaryReplicaIdentities(parseTocEntries(text));
    await journal.event(`${entries.length} schema entries read by ${tool}`, { database: this.#name });
    return entries;
  }

  async #hiddenTables(): Promise<RelationName[]> {
    if (selectsAll(this.work.spec)) return [];
    const source = await connect(this.work.source, { database: this.#name, purpose: this.#purpose("read") });
    try {
      return await hiddenTables(source, await readSelection(source, this.work.spec));
    } finally {
      await source.end();
    }
  }

  async #queueUnits({ source, target, plan }: CopyContext, tables: readonly TableToCopy[]): Promise<void> {
    const { spec } = this.work;
    if (spec.dataOnly) await prepareExistingTables(this.work, target, tables);
    await this.#units.replace(await planCopyTasks(source, tables, plan.builds, spec.splitTablesLargerThan));
  }

  /** From here on other workers may share the copy, and a successor go on with it. */
  async #offer(point: CopyPoint, { plan, context }: CopyContext): Promise<void> {
    const skipped = { entries: [...context.skipped], missing: [...context.missing] };
    const shared = {
      id: randomUUID(),
      generation: this.work.generation,
      engineVersion,
      snapshotId: point.snapshot.id,
      moment: point.snapshot.moment,
      sourceSearchPath: context.sourceSearchPath ?? "",
      skipped: skipped.entries,
      largeObjectsCopied: false,
      tablesCopied: false,
    };
    await this.#share(shared, copyStateOf(point, plan, skipped));
  }

  async #share(shared: SharedCopy, copyState?: unknown): Promise<void> {
    this.#shared = shared;
    await this.work.journal.database(this.#name, { sharedCopy: shared, copyState });
  }

  async #copyRows(scene: CopyContext, tables: readonly TableToCopy[]): Promise<void> {
    const { work } = this;
    const { snapshot, context, signal } = scene;
    this.#copiesRows = true;
    await work.journal.database(this.#name, { message: "copying tables" });
    await runCopyTasks(
      {
        work,
        database: this.#name,
        units: this.#units,
        snapshotId: snapshot?.id,
        tables,
        // What an earlier worker has begun is known of each unit.
        context: { ...context, resumed: false },
        signal,
        onFindings: (findings) => this.#report(findings),
      },
      {
        beside: (poolSignal) => this.#copyLargeObjects(scene, poolSignal),
        onTablesCopied: () => this.#tablesCopied(scene),
        onTakenBack: ({ completed, queued }) =>
          work.journal.event(
            `a worker that shared the copy is gone: ${queued} of its units are done again, ${completed} it had done`,
            { database: this.#name, level: "warning" },
          ),
      },
    );
    for (const skipped of await this.#units.skipped()) skipTables(context, skipped);
  }

  async #tablesCopied({ snapshot, slot, signal }: CopyContext): Promise<void> {
    if (!snapshot) return;
    await this.#compare(snapshot, slot !== undefined, signal);
    if (this.#shared) await this.#share({ ...this.#shared, tablesCopied: true });
    // Not held through index builds: it keeps the source from vacuuming, and its locks keep TRUNCATE waiting.
    await snapshot.release();
  }

  /** As the snapshot shows them. */
  async #tablesIn(snapshot: Snapshot): Promise<TableToCopy[]> {
    const session = await openInSnapshot(this.work.source, this.#name, snapshot.id, this.#purpose("catalogue"));
    try {
      return await selectedTables(session, this.work.spec);
    } finally {
      await session.end();
    }
  }

  /** Compared before they are given to their owners, whose objects the role that migrates may not read. */
  async #copyLargeObjects({ snapshot, context }: CopyContext, signal: AbortSignal): Promise<void> {
    if (this.work.spec.schemaOnly || !snapshot) return;
    const purpose = "large objects";
    await withTwoSessions(
      () => openInSnapshot(this.work.source, this.#name, snapshot.id, this.#purpose(purpose)),
      () => this.#connectTarget(purpose),
      async (source, target) => {
        if (this.#shared?.largeObjectsCopied !== true) {
          const { objects } = await copyLargeObjects(source, target, { signal });
          if (objects === 0) return;
          await compareLargeObjectsOf(this.work, this.#name, source, target);
          if (this.#shared) await this.#share({ ...this.#shared, largeObjectsCopied: true });
        }
        await this.#report(await restoreEntries(target, await largeObjectEntries(source), context));
      },
    );
  }

  /** An online migration is compared at its cutover, at just that moment. */
  async #compare(snapshot: Snapshot, isOnline: boolean, signal: AbortSignal): Promise<void> {
    if (isOnline || this.work.spec.schemaOnly) return;
    await this.work.journal.database(this.#name, { message: "comparing rows, building indexes" });
    await compareDatabase(this.work, { database: this.#name, snapshotId: snapshot.id, signal, inCutover: false });
  }

  async #finish(scene: CopyContext): Promise<void> {
    const { journal, spec, generation } = this.work;
    const { source, target, plan, context, selection, slot } = scene;
    await journal.database(this.#name, { message: "foreign keys, triggers and privileges" });
    await this.#buildLate(scene);
    await this.#restore(scene, plan.after);
    await this.#validate(scene);
    if (!spec.schemaOnly) await this.#fillTheRest(scene);
    if (slot) return initProgress(target, spec.migrationName, generation, slot);
    await this.#restore(scene, plan.handover);
    if (!spec.dataOnly) await carryConnectionLimit(source, target);
    await compareSchemas(this.work, this.#name, source, target, new Set([...selection.cut, ...context.missing]));
  }

  async #buildLate({ plan, context, signal }: CopyContext): Promise<void> {
    await runInParallel({
      work: this.work,
      database: this.#name,
      purpose: "index",
      groups: plan.lateBuilds.map((build) => [build]),
      signal,
      run: async (target, { entry }) => this.#report(await restoreEntry(target, entry, context)),
    });
  }

  /** Validations lock their table against each other, and the tables that they look into against nothing they do. */
  async #validate({ plan, context, signal }: CopyContext): Promise<void> {
    await runInParallel({
      work: this.work,
      database: this.#name,
      purpose: "validate",
      groups: byTable(plan.validations),
      signal,
      run: async (target, validation) => this.#report(await validateConstraint(target, validation, context)),
    });
  }

  /** What is computed from rows, or counts them. */
  async #fillTheRest({ source, target, selection, plan, context, signal }: CopyContext): Promise<void> {
    const { work } = this;
    const { journal } = work;
    await carrySequences(source, target, {
      only: ({ schema, name }) => !selection.cutSequences.has(relationKey(schema, name)),
    });
    await journal.database(this.#name, { message: "materialized views" });
    await this.#report(await refreshMaterializedViews(source, target, plan.materializedViews, context));
    await journal.database(this.#name, { message: "statistics" });
    const searchPath = context.sourceSearchPath ?? "";
    await this.#report(await analyzeDatabase(target, { work, database: this.#name, searchPath, signal }));
  }

  async #removeEarlierTry(): Promise<void> {
    const { journal, source, spec } = this.work;
    if (this.record.slot === undefined && this.record.publications.length === 0) return;
    for (const note of await dropSourceObjects(source, spec, this.#name))
      await journal.event(note, { database: this.#name, level: "warning" });
    await journal.database(this.#name, { slot: null, publications: [] });
  }

  async #restore({ target, context }: CopyContext, entries: readonly Entry[]): Promise<void> {
    await this.#report(await restoreEntries(target, entries, context));
  }

  async #restoreBefore(scene: CopyContext): Promise<void> {
    const { target, plan, context } = scene;
    const apart = (groups: readonly (readonly Entry[])[]): Promise<Set<Entry>> => this.#restoreApart(scene, groups);
    await this.#report(await restoreEntries(target, plan.before, context, apart));
  }

  async #restoreApart({ context, signal }: CopyContext, groups: readonly (readonly Entry[])[]): Promise<Set<Entry>> {
    const restored = new Set<Entry>();
    await runInParallel({
      work: this.work,
      database: this.#name,
      purpose: "restore",
      groups: groups.map((group) => [...batches(group)]),
      signal,
      areBrief: true,
      run: async (target, batch) => {
        if (!(await restoreTogether(target, batch, context))) return;
        for (const entry of batch) restored.add(entry);
      },
    });
    return restored;
  }

  async #report(findings: readonly RestoreFinding[]): Promise<void> {
    await reportFindings(this.work, this.#name, findings);
  }

  async #connectTarget(purpose: string): Promise<Client> {
    return connect(this.work.target, { database: this.record.targetName, purpose: this.#purpose(purpose) });
  }

  #purpose(what: string): string {
    return `${this.work.spec.migrationName} ${what}`;
  }
}

const keyOf = ({ schema, name }: RelationName): string => qualify(schema, name);

function byTable(validations: RestorePlan["validations"]): RestorePlan["validations"][number][][] {
  const groups = new Map<string, RestorePlan["validations"][number][]>();
  for (const validation of validations) {
    const key = keyOf(validation.table);
    const group = groups.get(key);
    if (group) group.push(validation);
    else groups.set(key, [validation]);
  }
  return [...groups.values()];
}
