import { CopyRate } from "../../copy/copy-rate.js";
import { type Snapshot } from "../../copy/snapshot.js";
import { engineVersion } from "../../engine-version.js";
import { CanceledError, TakenOverError, UnreachableError, messageOf } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { tagSessions } from "../../postgres/connection/connect.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { RestoreFinding } from "../../schema/sql/restore-findings.js";
import { readRestoreContext, type RestoreContext } from "../../schema/restore/restore-context.js";
import type { MigrationState } from "../../status.js";
import { Journal } from "../../store/journal.js";
import { leaseHolder } from "../../store/lease.js";
import { Membership } from "../../store/membership.js";
import { readDatabases, readMigration, type DatabaseRecord } from "../../store/records.js";
import { recordSharedSnapshot, readSharedCopies, type DatabaseCopy } from "../../store/shared-copies.js";
import { withExistingStore, type Store } from "../../store/store.js";
import { CopyTasks } from "../../store/copy-tasks/copy-tasks.js";
import { readSharedComparisons, type DatabaseComparison } from "../../store/copy-tasks/shared-comparison.js";
import { ComparisonHelper } from "../comparison/comparison-helper.js";
import { ReplicaLagMonitor } from "../monitoring/replica-lag-monitor.js";
import { retry } from "../context/retry.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { reportFindings } from "../context/report-findings.js";
import { runCopyTasks } from "./copy-tasks.js";
import { defaultJobs, type Parallelism } from "../context/default-parallelism.js";
import { helperName } from "../context/session-owner.js";
import { holdSnapshot } from "./retry/earlier-copy.js";
import type { WorkerJob } from "../context/worker-job.js";
import { Semaphore } from "../../async/semaphore.js";
import { selectedTablesIn } from "../context/selected-tables.js";
import { withStatementCancellation } from "../context/statement-cancellation.js";
import type { Work } from "../context/work.js";

/** How long a copy helper waits for a leader or for the target. For that time its snapshot keeps the source from vacuuming. */
export const orphanTimeoutSeconds = 600;

/** State of a migration as seen by a worker that does not lead it. */
export interface MigrationView {
  readonly state: MigrationState;
  readonly spec: MigrationSpec;
  readonly generation: number;
  /** In the text format of the records. */
  readonly startedAt: string;
  readonly hasLeader: boolean;
  /** Number of databases that are being copied or waiting for it. */
  readonly toCopy: number;
  readonly copies: readonly DatabaseCopy[];
  readonly comparisons: readonly DatabaseComparison[];
}

export const readMigrationView = (job: WorkerJob): Promise<MigrationView | undefined> =>
  withExistingStore(job, `${job.migrationName} stand-by`, (store) => store && viewOf(store, job));

async function viewOf(store: Store, job: WorkerJob): Promise<MigrationView | undefined> {
  try {
    const record = await readMigration(store, job.migrationName);
    if (!record) return undefined;
    return {
      state: record.state,
      spec: record.spec,
      generation: record.generation,
      startedAt: record.startedAt,
      toCopy: (await readDatabases(store, job.migrationName)).filter(isToBeCopied).length,
      hasLeader: (await leaseHolder(store, job.migrationName)) !== undefined,
      copies: await readSharedCopies(store, job.migrationName),
      comparisons: await readSharedComparisons(store, job.migrationName),
    };
  } catch (error) {
    // Deleting the last migration also drops the control schema.
    if (sqlStateOf(error) === sqlStates.undefinedTable) return undefined;
    throw error;
  }
}

/** A leader that lost its connection may resume its copy under the snapshot of a helper, which has another name. */
const isSame = (one: DatabaseCopy, other: DatabaseCopy): boolean =>
  one.id === other.id && one.generation === other.generation && one.snapshotId === other.snapshotId;

const isToBeCopied = ({ phase, state }: DatabaseRecord): boolean =>
  (phase === "queued" || phase === "copying") && state === "InProgress";

type Log = (message: string) => void;

/** This process's part in one shared copy under one leader. */
interface Share {
  readonly copy: DatabaseCopy;
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

/**
 * Helps with the initial copies and comparisons that another worker leads. Copies tables and builds indexes under that worker's
 * generation. Holds the copy's snapshot, so that a successor can resume the copy if the leader dies.
 */
export class CopyHelper {
  readonly #job: WorkerJob;
  readonly #log: Log;
  readonly #shares = new Map<string, Share>();
  readonly #held = new Map<string, Promise<Snapshot | undefined>>();
  readonly #closing = new AbortController();
  #spec: MigrationSpec | undefined;
  #defaultJobs: Parallelism | undefined;
  readonly #tableSlots = new Semaphore(() => this.#spec?.tableJobs ?? this.#defaultJobs?.tableJobs ?? 1);
  readonly #indexSlots = new Semaphore(() => this.#spec?.indexJobs ?? this.#defaultJobs?.indexJobs ?? 1);
  readonly #copyRate = new CopyRate(() => this.#spec?.maxCopyRate);
  readonly #replicaLag: ReplicaLagMonitor;
  readonly #comparisons: ComparisonHelper;

  constructor(job: WorkerJob, write: Log) {
    this.#job = job;
    this.#log = write;
    this.#replicaLag = new ReplicaLagMonitor({
      source: job.source,
      purpose: `${job.migrationName} replicas`,
      limitSeconds: () => this.#spec?.maxReplicaLag,
      copyRate: this.#copyRate,
      onFailure: write,
    });
    const workOf = (membership: Membership, signal: AbortSignal): Promise<Work> => this.#workOf(membership, signal);
    this.#comparisons = new ComparisonHelper({ job, workOf, log: write });
  }

  /** Whether it holds a snapshot for the next leader. */
  get holdsSnapshot(): boolean {
    return this.#held.size > 0;
  }

  /** Starts to help with new copies, and stops for those that ended. */
  async share(view: MigrationView): Promise<void> {
    const { startedAt, generation } = view;
    tagSessions(helperName({ migration: this.#job.migrationName, startedAt, generation }));
    const copies = this.hold(view);
    for (const [id, share] of this.#shares)
      if (!copies.some((copy) => isSame(copy, share.copy))) await this.#end(id, share);
    for (const copy of copies) if (!this.#shares.has(copy.id)) this.#begin(copy);
    await this.#comparisons.share(
      view.hasLeader ? view.comparisons.filter((one) => one.generation === generation) : [],
    );
  }

  /** Stops comparing when the leader is lost, whose snapshots end with it. */
  async stopComparing(): Promise<void> {
    await this.#comparisons.share([]);
  }

  /** Starts to hold the snapshots of the leader's copies. @returns the copies that this version can help with */
  hold(view: MigrationView): DatabaseCopy[] {
    this.#spec = view.spec;
    const led = view.copies.filter(({ generation }) => generation === view.generation);
    const copies = led.filter((copy) => copy.engineVersion === engineVersion);
    if (copies.length < led.length)
      this.#log(`cannot help: this worker has version ${engineVersion}, the leader another one`);
    for (const copy of copies)
      if (!copy.tablesCopied && !this.#held.has(copy.id)) this.#held.set(copy.id, this.#hold(copy));
    return copies;
  }

  /** Releases the snapshots of other copies. */
  async keepSnapshotsOf(copies: readonly DatabaseCopy[]): Promise<void> {
    for (const [id, held] of this.#held) {
      if (copies.some((copy) => copy.id === id && !copy.tablesCopied)) continue;
      this.#held.delete(id);
      await (await held)?.release();
    }
  }

  /** Stops helping, and keeps the snapshots. */
  async stopSharing(): Promise<void> {
    await this.stopComparing();
    for (const [id, share] of this.#shares) await this.#end(id, share);
    tagSessions(undefined);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.stopSharing();
    await this.keepSnapshotsOf([]);
  }

  async #end(id: string, share: Share): Promise<void> {
    share.abort.abort(new CanceledError("the copy is no longer shared"));
    await share.ended;
    this.#shares.delete(id);
  }

  /** Holds the snapshot. A failure is only logged: helping needs no snapshot here, but a successor then cannot resume. */
  async #hold(copy: DatabaseCopy): Promise<Snapshot | undefined> {
    let snapshot: Snapshot | undefined;
    try {
      const [spec, { signal }] = [this.#spec!, this.#closing];
      snapshot = await holdSnapshot(
        { source: this.#job.source, spec, signal },
        copy.database,
        copy.snapshotId,
        copy.txidSnapshot,
      );
      if (!snapshot) return undefined;
      const { id } = snapshot;
      const { migrationName } = this.#job;
      await withExistingStore(
        this.#job,
        `${migrationName} stand-by`,
        (store) => store && recordSharedSnapshot(store, migrationName, copy, id),
      );
      return snapshot;
    } catch (error) {
      await snapshot?.release();
      this.#log(`cannot hold the snapshot of ${copy.database}: ${messageOf(error)}`);
      return undefined;
    }
  }

  #begin(copy: DatabaseCopy): void {
    const abort = new AbortController();
    const ended = this.#share(copy, abort.signal).catch((error: unknown) => {
      if (abort.signal.aborted || error instanceof TakenOverError) return;
      this.#log(`stopped helping to copy ${copy.database}: ${messageOf(error)}`);
    });
    this.#shares.set(copy.id, { copy, abort, ended });
  }

  async #share(copy: DatabaseCopy, stop: AbortSignal): Promise<void> {
    const isRetryable = (error: unknown): boolean => error instanceof UnreachableError || isConnectionLoss(error);
    const onLost = (reason: string): Promise<void> => {
      this.#log(`helping to copy ${copy.database} again after a connection loss: ${reason}`);
      return Promise.resolve();
    };
    await retry({ seconds: Infinity, signal: stop, isRetryable, onLost }, () => this.#shareOnce(copy, stop));
  }

  /** The leader takes back tasks that are claimed but not completed when this ends. */
  async #shareOnce(copy: DatabaseCopy, signal: AbortSignal): Promise<void> {
    const membership = await Membership.join(this.#job, this.#job.migrationName);
    try {
      if (membership.generation !== copy.generation) return;
      const work = await this.#workOf(membership, signal);
      const { database } = copy;
      this.#log(`helping to copy ${database} as worker ${membership.worker}`);
      const tables = copy.tablesCopied
        ? []
        : await selectedTablesIn(work, { database: copy.database, snapshotId: copy.snapshotId, purpose: "catalogue" });
      const options = {
        work,
        database,
        tasks: new CopyTasks(membership, database, copy.id),
        snapshotId: copy.tablesCopied ? undefined : copy.snapshotId,
        tables,
        context: await contextOf(work, copy),
        signal,
        onFindings: (findings: readonly RestoreFinding[]) => reportFindings(work, database, findings),
      };
      await withStatementCancellation(signal, () => runCopyTasks(options), [
        database,
        targetDatabase(work.spec, database),
      ]);
      this.#log(`the copy of ${database} has no open tasks`);
    } finally {
      await membership.leave();
    }
  }

  async #workOf(membership: Membership, signal: AbortSignal): Promise<Work> {
    this.#defaultJobs ??= await defaultJobs(this.#job, this.#spec!);
    const spec = (): MigrationSpec => this.#spec!;
    return {
      get spec() {
        return spec();
      },
      source: this.#job.source,
      target: this.#job.target,
      journal: new Journal(membership),
      generation: membership.generation,
      signal,
      tableSlots: this.#tableSlots,
      indexSlots: this.#indexSlots,
      copyRate: this.#copyRate,
      replicaLag: this.#replicaLag,
    };
  }
}

async function contextOf(
  { target, spec, signal }: Work,
  { database, sourceSearchPath, skipped }: DatabaseCopy,
): Promise<RestoreContext> {
  const options = { database: targetDatabase(spec, database), purpose: `${spec.migrationName} catalogue` };
  const context = await withSession(target, options, (session) =>
    readRestoreContext(session, { sourceSearchPath, signal }),
  );
  for (const [id, reason] of skipped) context.skipped.set(id, reason);
  return context;
}
