import { Notifier } from "../async/notifier.js";
import { EngineError, TimeoutError } from "../errors.js";
import type { Inputs } from "../inputs/inputs.js";
import { certificates } from "../postgres/connection/connect.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";
import { hasEnded, type MigrationStatus } from "../status.js";
import { leaseHeldError, leaseHolder } from "../store/lease.js";
import { readStatus } from "../store/read-status.js";
import { readAsked, type Asked } from "../store/requests.js";
import { Store } from "../store/store.js";
import { failureText, progressLine } from "./describe-progress.js";
import { refuseMissedWindow } from "./refuse-missed-window.js";
import { refuseWithdrawn } from "./refuse-withdrawn.js";
import { type Goal, refuseReplaced } from "./wait-target.js";
import { retry } from "../worker/context/retry.js";
import { launchWorker, logFileOf, logTail, type LaunchedWorker } from "./launch-worker.js";
import { delay } from "../async/delay.js";

/** Shows a line in the resource's row, in place of the previous one. */
export type Report = (line: string) => void;

export interface Supervision {
  readonly goal: Goal;
  readonly report: Report;
  readonly timeoutSeconds: number;
}

export interface Outcome {
  readonly reached: boolean;
  readonly status: MigrationStatus;
  /** Why the goal was not reached; empty when it was. */
  readonly reason: string;
}

const pollMs = 300;
const maxLaunches = 4;
/** Maximum time from the start of a worker to its lease. In that time it connects to the target and reads the store. */
const leaseWithinMs = 60_000;
const targetOutageSeconds = 300;

/**
 * Keeps a worker running and follows the migration to its goal or its end. Starts a worker if none is running. The worker
 * keeps running after this process ends.
 *
 * @throws TimeoutError if the goal was not reached within `timeoutSeconds`
 * @throws EngineError if the worker ended four times, or the record of the migration was deleted
 */
export async function superviseWorker(inputs: Inputs, supervision: Supervision): Promise<Outcome> {
  const watch = new Watch(inputs, supervision);
  try {
    return await watch.run();
  } finally {
    await watch.close();
  }
}

class Watch {
  #store: Store | undefined;
  /** Notifies when the state of the migration changes. */
  readonly #changes = new Notifier();
  #worker: LaunchedWorker | undefined;
  #launchedAt = 0;
  #launches = 0;
  #workerEnded = false;

  constructor(
    readonly inputs: Inputs,
    readonly supervision: Supervision,
  ) {}

  async run(): Promise<Outcome> {
    const deadline = Date.now() + this.supervision.timeoutSeconds * 1000;
    for (;;) {
      const changed = this.#changes.nextSignal;
      const { status, asked, answeredMs } = await this.#status();
      this.supervision.report(this.#line(status));
      const outcome = this.#outcome(status);
      if (outcome) return outcome;
      this.#refuseHopeless(status, asked);
      if (Date.now() > deadline)
        throw new TimeoutError(
          `${this.inputs.migrationName} did not reach ${this.supervision.goal.name} within ${this.supervision.timeoutSeconds} s`,
          { remedy: this.#remedyOfTimeout(status) },
        );
      await this.#ensureWorker(status);
      // With many tables the status query is expensive. Poll for at most a tenth of the time.
      await delay(Math.max(pollMs, answeredMs * 10), changed);
    }
  }

  async close(): Promise<void> {
    await this.#store?.close().catch(() => undefined);
  }

  async #openStore(): Promise<Store | undefined> {
    const { migrationName } = this.inputs;
    const store = await Store.find(this.inputs, `${migrationName} watch`);
    try {
      await store?.listen(migrationName, () => this.#changes.notify());
    } catch (error) {
      await store?.close();
      throw error;
    }
    return store;
  }

  #outcome(status: MigrationStatus): Outcome | undefined {
    const { goal } = this.supervision;
    if (goal.isReached(status)) return { reached: true, status, reason: "" };
    if (hasEnded(status.state) || goal.isUnreachable(status))
      return { reached: false, status, reason: failureText(this.inputs.migrationName, status) };
    return undefined;
  }

  #refuseHopeless(status: MigrationStatus, asked: Asked): void {
    const { verification } = this.supervision.goal;
    if (verification !== undefined) refuseReplaced(status, verification, asked.verifyNow);
    refuseWithdrawn(status, this.inputs, asked);
    refuseMissedWindow(status, this.inputs, this.inputs.cutoverWindow);
  }

  #lacksExternalWorker({ worker }: MigrationStatus): boolean {
    return this.inputs.runner === "external" && worker.state === "lost";
  }

  #remedyOfTimeout(status: MigrationStatus): string {
    return this.#lacksExternalWorker(status)
      ? `no worker runs: start one with pg-migration worker --name ${this.inputs.migrationName}, then run pulumi up to wait again`
      : "the worker keeps running; run pulumi up to wait again";
  }

  #line(status: MigrationStatus): string {
    return this.#lacksExternalWorker(status)
      ? `${status.state}: waiting for a worker (run pg-migration worker)`
      : progressLine(status);
  }

  async #ensureWorker(status: MigrationStatus): Promise<void> {
    if (status.worker.state === "running" || this.inputs.runner === "external") return;
    const starting = this.#worker && !this.#workerEnded && Date.now() - this.#launchedAt < leaseWithinMs;
    if (starting) return;
    if (this.#launches === maxLaunches) throw await this.#noWorkerStarts();
    this.#launches++;
    this.#launchedAt = Date.now();
    this.#workerEnded = false;
    const { migrationName, maintenanceDatabase, source, target, webhook } = this.inputs;
    const worker = await launchWorker({
      migrationName,
      maintenanceDatabase,
      source: withCertificates(source),
      target: withCertificates(target),
      webhook,
    });
    this.#worker = worker;
    void worker.exited.then(() => {
      if (this.#worker === worker) this.#workerEnded = true;
    });
  }

  async #noWorkerStarts(): Promise<EngineError> {
    const { migrationName } = this.inputs;
    const holder = this.#store && (await leaseHolder(this.#store, migrationName));
    if (holder) return leaseHeldError(this.#store!, migrationName, holder.backendPid);
    const log = logFileOf(this.inputs);
    return new EngineError(
      `the worker of ${migrationName} ended ${maxLaunches} times without an end state:\n${await logTail(log)}`,
      { remedy: `read ${log}; the next pulumi up resumes the migration` },
    );
  }

  /**
   * Reads the status and measures the duration of the query. Reconnects after a lost connection. The duration excludes the
   * outage, because the restart of a dead worker must not wait for it.
   */
  async #status(): Promise<{ status: MigrationStatus; asked: Asked; answeredMs: number }> {
    const { migrationName } = this.inputs;
    return retry({ seconds: targetOutageSeconds }, async () => {
      const askedAt = Date.now();
      try {
        this.#store ??= await this.#openStore();
        const store = this.#store;
        // In this order: the requests must not be older than the status.
        const [status, asked] = store
          ? await Promise.all([readStatus(store, migrationName), readAsked(store, migrationName)])
          : [];
        if (!status || !asked) throw recordDeleted(migrationName);
        return { status, asked, answeredMs: Date.now() - askedAt };
      } catch (error) {
        await this.close();
        this.#store = undefined;
        // Deleting the last migration also drops the control schema.
        if (sqlStateOf(error) === sqlStates.undefinedTable) throw recordDeleted(migrationName);
        throw error;
      }
    });
  }
}

/** Replaces the path by the certificates. The worker has another working directory and may outlive the file. */
const withCertificates = (endpoint: Endpoint): Endpoint =>
  endpoint.sslRootCert === undefined ? endpoint : { ...endpoint, sslRootCert: certificates(endpoint.sslRootCert) };

const recordDeleted = (migration: string): EngineError =>
  new EngineError(`the record of ${migration} was deleted from the target during this operation`, {
    remedy: "run pulumi up again to start the migration from the beginning",
  });
