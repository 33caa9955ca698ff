import { delay } from "../../async/delay.js";
import { withTimeout } from "../../async/with-timeout.js";
import { messageOf } from "../../errors.js";
import { FleetReader, type TargetReading } from "../../fleet/fleet-reader.js";
import type { ListProblem, Target, TargetList } from "../../fleet/target.js";
import { TargetListRefresh } from "../../fleet/target-list-refresh.js";
import { ChangeReporter, log } from "../../log.js";
import type { MigrationStatus } from "../../status.js";
import type { MigrationSummary } from "../../store/list-migrations.js";
import { poolPurpose } from "../../store/leaving-worker.js";
import { newWorkerName } from "../../store/lease.js";
import { readStatus } from "../../store/read-status.js";
import type { Store } from "../../store/store.js";
import type { Budgets } from "../budgets/budget.js";
import { borrowArgument, type WorkerJob } from "../context/worker-job.js";
import { keepSnapshotsOf } from "../initial-copy/help-copying.js";
import { type LendingMigration, type PoolWork, poolWork } from "./free-migrations.js";
import { noRoomExitCode, PoolWorker, stopTimeoutMs } from "./pool-worker.js";

const pollMs = 2000;
/** The lease must be free for this long. A successor, an update or an erasure needs this time. */
const minFreeLeaseMs = 5000;
const firstRetryMs = 5000;
const maxRetryMs = 60_000;
/** A target that does not answer must not delay the metrics of the others. Its read continues for the next scrape. */
const scrapeMs = 4000;

export interface PoolOptions {
  readonly readTargets: () => Promise<TargetList>;
  /** Adds the passwords to a recorded migration. @throws InvalidInputError if one is missing */
  readonly jobOf: (target: Target, migration: MigrationSummary) => Promise<WorkerJob>;
  /** Worker processes of this pool process. */
  readonly maxMigrations: number;
  readonly budgets: Budgets;
  readonly stop: AbortSignal;
}

/** A migration that this pool has seen without a worker, or that it runs. */
interface Known {
  freeSince: number;
  retryAt: number;
  retryMs: number;
}

/** A worker of this pool process. */
interface Running {
  readonly worker: PoolWorker;
  /** Source and target, as text. */
  readonly servers: string;
  readonly target: string;
  readonly job: WorkerJob;
  /** Key of the migration whose stream the worker applies for the worker of another pool process. */
  readonly borrowsFrom?: string;
}

/** A running migration on a target. */
interface RunningStatus {
  readonly target: string;
  readonly name: string;
  readonly status: MigrationStatus;
}

/** Numbers of one pool process. */
export interface PoolFigures {
  readonly targets: number;
  readonly unreachableTargets: number;
  readonly workers: number;
  readonly maxWorkers: number;
  /** Migrations that wait for a worker of any pool. */
  readonly waitingMigrations: number;
}

/**
 * Runs the migrations of many targets that wait for an external worker, each in a process of its own, until the signal aborts.
 * Several pools may serve the same targets: the lease of a migration decides which worker runs it. When a worker of any pool
 * dies, its lease ends, and the migration is free again.
 */
export class WorkerPool {
  readonly #workers = new Map<string, Running>();
  readonly #known = new Map<string, Known>();
  /** The migrations of other workers whose snapshots this process holds. */
  readonly #kept = new Map<string, Promise<void>>();
  /** Migrations of other workers that have streams to lend. */
  readonly #lenders = new Map<string, Known>();
  /** Names this process, so that lenders recognise its workers. */
  readonly #name = newWorkerName();
  #borrowers = 0;
  #isReturning = false;
  readonly #reports = new Map<string, ChangeReporter>();
  readonly #reader: FleetReader<PoolWork>;
  /** Has sessions of its own: many statuses must not delay the search for migrations. Reads only targets with workers. */
  readonly #statuses: FleetReader<RunningStatus[]>;
  readonly #list: TargetListRefresh;
  #listState: "unread" | "read" | "unreadable" = "unread";

  constructor(readonly options: PoolOptions) {
    this.#reader = new FleetReader([], poolWork, poolPurpose);
    this.#statuses = new FleetReader([], (store, target) => this.#readStatuses(store, target), "pool metrics");
    this.#list = new TargetListRefresh(
      {
        readTargets: options.readTargets,
        reader: this.#reader,
        onRead: ({ problems }) => {
          this.#listState = "read";
          this.#report(
            "the list of targets",
            problems.length === 0 ? "is valid" : `has wrong entries: ${describe(problems)}`,
          );
        },
        onFailure: (error) => {
          if (this.#listState !== "read") this.#listState = "unreadable";
          this.#report("the list of targets", `cannot be read: ${messageOf(error)}`);
        },
      },
      { isRead: false },
    );
  }

  async run(): Promise<void> {
    try {
      await this.#serve();
    } finally {
      await this.#drain();
    }
  }

  /** Why the pool cannot serve any migration; undefined if it can. Names no server. */
  get obstacle(): string | undefined {
    if (this.#listState !== "read")
      return `the list of targets ${this.#listState === "unread" ? "is not" : "cannot be"} read`;
    if (this.#reader.isEmpty) return "the list has no valid target";
    return this.#reader.readings.some(isCurrent) ? undefined : "no target has answered";
  }

  get figures(): PoolFigures {
    const { readings } = this.#reader;
    const waiting = this.#open("free").filter(({ target, one }) => !this.#workers.has(keyOf(target.name, one.name)));
    return {
      targets: readings.length,
      unreachableTargets: readings.filter(({ failure }) => failure !== undefined).length,
      workers: this.#workers.size,
      maxWorkers: this.options.maxMigrations,
      waitingMigrations: waiting.length,
    };
  }

  /**
   * The migrations that this process runs, with their last status. Omits those whose target does not answer or is no longer on the
   * list.
   */
  async migrations(): Promise<RunningStatus[]> {
    this.#chooseStatuses();
    await withTimeout(this.#statuses.poll(), scrapeMs);
    const statuses = this.#statuses.readings.filter(isCurrent).flatMap(({ content }) => content);
    return statuses.filter(({ target, name }) => this.#workers.has(keyOf(target, name)));
  }

  /** Ends the sessions of targets that left the list or have no worker of this process. */
  #chooseStatuses(): void {
    const withWorkers = new Set([...this.#workers.values()].filter(isLeader).map(({ target }) => target));
    const targets = this.#reader.readings.map(({ target }) => target);
    this.#statuses.setTargets(targets.filter(({ name }) => withWorkers.has(name)));
  }

  async #readStatuses(store: Store | undefined, { name: target }: Target): Promise<RunningStatus[]> {
    const found: RunningStatus[] = [];
    for (const one of [...this.#workers.values()].filter(isLeader)) {
      const name = one.job.migrationName;
      const status = store && one.target === target ? await readStatus(store, name) : undefined;
      if (status) found.push({ target, name, status });
    }
    return found;
  }

  async #serve(): Promise<void> {
    const { stop } = this.options;
    while (!stop.aborted) {
      const listRead = this.#list.ifDue();
      // Later reads of the list, such as a slow answer of Azure, do not delay the migrations.
      if (this.#reader.isEmpty) await listRead;
      const readings = await this.#reader.poll();
      for (const { target, failure } of readings)
        this.#report(target.name, failure === undefined ? "is served" : `is skipped: ${failure}`);
      this.#forgetServed(readings);
      if (!this.#statuses.isEmpty) this.#chooseStatuses();
      for (const { target, one } of this.#open("leaving")) this.#keepSnapshots(target, one);
      // Pools that start together begin with different migrations.
      for (const { target, one } of shuffled(this.#open("free"))) await this.#start(target, one);
      for (const { target, one } of shuffled(this.#open("lending"))) await this.#borrow(target, one);
      await delay(pollMs, stop);
    }
  }

  /** Stops all workers, which release their leases. Migrations then resume in other pools. */
  async #drain(): Promise<void> {
    log.info(`the pool stops ${this.#workers.size} workers`);
    const stopped = [...this.#workers.values()].map(({ worker }) => worker.stop());
    // A server that does not answer must not delay the end.
    await Promise.all([...stopped, withTimeout(Promise.all(this.#kept.values()), stopTimeoutMs)]);
    await Promise.all([this.#reader.close(), this.#statuses.close()]);
  }

  #open<Kind extends keyof PoolWork>(kind: Kind): { readonly target: Target; readonly one: PoolWork[Kind][number] }[] {
    const current = this.#reader.readings.filter(isCurrent);
    return current.flatMap(({ target, content }) => content[kind].map((one) => ({ target, one })));
  }

  /** A migration that has a worker, or is gone, must be free for the whole time again. */
  #forgetServed(readings: readonly TargetReading<PoolWork>[]): void {
    const free = new Set(
      readings.flatMap(({ target, content }) => (content?.free ?? []).map(({ name }) => keyOf(target.name, name))),
    );
    for (const [key, known] of this.#known) if (!free.has(key) && Date.now() >= known.retryAt) this.#known.delete(key);
  }

  /** Holds the snapshots of a worker that is about to end, until the next worker, of any pool process, has adopted them. */
  #keepSnapshots(target: Target, migration: MigrationSummary): void {
    const key = keyOf(target.name, migration.name);
    if (this.#kept.has(key)) return;
    const kept = this.options
      .jobOf(target, migration)
      .then((job) => {
        this.#report(key, "holds the snapshots of a worker that ends");
        return keepSnapshotsOf(job, migration.leavingGeneration!, this.options.stop);
      })
      .catch((error: unknown) => this.#report(key, `cannot hold the snapshots: ${messageOf(error)}`))
      .finally(() => this.#kept.delete(key));
    this.#kept.set(key, kept);
  }

  async #start(target: Target, migration: MigrationSummary): Promise<void> {
    const key = keyOf(target.name, migration.name);
    const known = this.#known.get(key) ?? { freeSince: Date.now(), retryAt: 0, retryMs: firstRetryMs };
    this.#known.set(key, known);
    if (this.options.stop.aborted || this.#workers.has(key)) return;
    const freeMs = migration.hadWorker ? minFreeLeaseMs : 0;
    if (Date.now() < Math.max(known.retryAt, known.freeSince + freeMs)) return;
    if (this.#workers.size >= this.options.maxMigrations) {
      this.#returnStream();
      return;
    }
    const servers = serversOf(target, migration);
    // A worker that waits for the budgets of these servers takes them next.
    if ([...this.#workers.values()].some((one) => one.worker.isWaiting && one.servers === servers)) return;
    try {
      const job = await this.options.jobOf(target, migration);
      this.#startWorker(key, known, { target: target.name, servers, job: { ...job, ...this.#limits(migration) } });
    } catch (error) {
      this.#report(key, `cannot start: ${messageOf(error)}`);
      postpone(known);
    }
  }

  /** Applies a stream of a migration that another pool process runs, until the streams are divided equally. */
  async #borrow(target: Target, migration: LendingMigration): Promise<void> {
    const key = keyOf(target.name, migration.name);
    const known = this.#lenders.get(key) ?? { freeSince: 0, retryAt: 0, retryMs: firstRetryMs };
    this.#lenders.set(key, known);
    const isFull = this.#workers.size >= this.options.maxMigrations || this.#open("free").length > 0;
    if (this.options.stop.aborted || isFull || this.#workers.has(key) || Date.now() < known.retryAt) return;
    const own = [...this.#workers.values()].filter(({ borrowsFrom }) => borrowsFrom === key).length;
    if (migration.kept - own < 2) return;
    // The next reading may not show the request of this worker.
    known.retryAt = Date.now() + firstRetryMs;
    try {
      const job = await this.options.jobOf(target, migration);
      const started = { target: target.name, servers: serversOf(target, migration), job, borrowsFrom: key };
      this.#startWorker(`${key}, stream ${++this.#borrowers}`, known, started);
    } catch (error) {
      this.#report(key, `cannot apply a stream: ${messageOf(error)}`);
      postpone(known);
    }
  }

  /** Makes room for a migration without a worker: the worker of a borrowed stream can be replaced by its lender. */
  #returnStream(): void {
    const borrower = [...this.#workers.values()].find((one) => !isLeader(one));
    if (!borrower || this.#isReturning) return;
    this.#isReturning = true;
    void borrower.worker.stop().finally(() => (this.#isReturning = false));
  }

  /** The processes of a shared copy would each need a part of the budgets. */
  #limits({ spec }: MigrationSummary): Partial<WorkerJob> {
    const { budgets } = this.options;
    const isLimited = [budgets.source, budgets.target].some((one) =>
      Object.values(one).some((limit) => limit !== undefined),
    );
    return isLimited ? { budgets: { ...budgets, databases: Math.max(1, spec.dbsToMigrate.length) }, workers: 1 } : {};
  }

  #startWorker(key: string, known: Known, started: Omit<Running, "worker">): void {
    const worker = new PoolWorker(started.job, started.borrowsFrom ? [borrowArgument, this.#name] : []);
    this.#workers.set(key, { ...started, worker });
    log.info(`${key}: starts worker ${worker.pid ?? ""}`);
    void worker.exited.then((code) => {
      this.#workers.delete(key);
      known.freeSince = Date.now();
      // A leader that lends no stream, for example because it is paused, is asked less and less often.
      if (code === 0 || (code === noRoomExitCode && isLeader(started))) known.retryMs = firstRetryMs;
      if (code !== 0) postpone(known);
      if (code !== noRoomExitCode) log.info(`${key}: the worker ended with ${code ?? "a signal"}`);
    });
  }

  #report(subject: string, text: string): void {
    const reporter = this.#reports.get(subject) ?? new ChangeReporter();
    this.#reports.set(subject, reporter);
    reporter.report(`${subject} ${text}`);
  }
}

function postpone(known: Known): void {
  known.retryAt = Date.now() + known.retryMs;
  known.retryMs = Math.min(2 * known.retryMs, maxRetryMs);
}

const isLeader = ({ borrowsFrom }: Omit<Running, "worker">): boolean => borrowsFrom === undefined;

const serversOf = (target: Target, { spec: { source } }: MigrationSummary): string =>
  `${source.host}:${source.port} ${target.name}`;

const keyOf = (target: string, migration: string): string => `${target}/${migration}`;

const isCurrent = <Content>(
  reading: TargetReading<Content>,
): reading is TargetReading<Content> & { readonly content: Content } =>
  reading.failure === undefined && reading.content !== undefined;

const describe = (problems: readonly ListProblem[]): string =>
  problems.map(({ place, reason }) => `${place}: ${reason}`).join("; ");

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((item) => [Math.random(), item] as const)
    .sort(([one], [other]) => one - other)
    .map(([, item]) => item);
}
