import { Bell } from "../bell.js";
import { EngineFault, TimedOut, messageOf } from "../errors.js";
import type { Inputs } from "../inputs/inputs.js";
import { certificates, type Endpoint } from "../postgres/connection/connect.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";
import { hasEnded, type MigrationStatus } from "../status.js";
import { readStatus } from "../store/read-status.js";
import { askedVerification } from "../store/records.js";
import { Store } from "../store/store.js";
import { failureText, progressLine } from "./describe-progress.js";
import { type Goal, refuseReplaced } from "./wait-target.js";
import { launchWorker, logFileOf, logTail, type LaunchedWorker } from "./launch-worker.js";
import { pause } from "../async/delay.js";

/** Takes a line that replaces the one before it, for the resource's row. */
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
const mostLaunches = 4;
/** How long a worker may take from its start to its lease: it dials the target and reads the store. */
const leaseWithinMs = 60_000;

/**
 * Sees to it that a worker is at work, starting one where there is none, and follows the migration to its goal or its end.
 * The worker goes on when this process ends.
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
  /** Rings when the migration comes to another state. */
  readonly #changes = new Bell();
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
      const { status, answeredMs } = await this.#status();
      this.supervision.report(this.#line(status));
      const outcome = this.#outcome(status);
      if (outcome) return outcome;
      if (Date.now() > deadline)
        return {
          reached: false,
          status,
          reason: `${this.inputs.migrationName} has not come to ${this.supervision.goal.name} within ${this.supervision.timeoutSeconds} s; the worker goes on, and the next pulumi up follows it again`,
        };
      await this.#ensureWorker(status);
      // Ten thousand tables take the target a while to count, which it has better to do than all the time.
      await pause(Math.max(pollMs, answeredMs * 10), changed);
    }
  }

  async close(): Promise<void> {
    await this.#store?.close().catch(() => undefined);
  }

  async #openStore(): Promise<Store | undefined> {
    const { migrationName } = this.inputs;
    const store = await Store.find(this.inputs, `${migrationName} watch`);
    try {
      await store?.listen(migrationName, () => this.#changes.ring());
    } catch (error) {
      await store?.close();
      throw error;
    }
    return store;
  }

  #outcome(status: MigrationStatus): Outcome | undefined {
    const { goal } = this.supervision;
    if (goal.isReached(status)) return { reached: true, status, reason: "" };
    if (hasEnded(status.state) || goal.isMissed(status))
      return { reached: false, status, reason: failureText(this.inputs.migrationName, status) };
    return undefined;
  }

  #line(status: MigrationStatus): string {
    const lacksWorker = this.inputs.runner === "external" && status.worker.state === "lost";
    return lacksWorker ? `${status.state}: waiting for a worker (run pg-migration worker)` : progressLine(status);
  }

  async #ensureWorker(status: MigrationStatus): Promise<void> {
    if (status.worker.state === "running" || this.inputs.runner === "external") return;
    const starting = this.#worker && !this.#workerEnded && Date.now() - this.#launchedAt < leaseWithinMs;
    if (starting) return;
    if (this.#launches === mostLaunches) {
      const log = logFileOf(this.inputs);
      throw new EngineFault(
        `the worker of ${this.inputs.migrationName} ended ${mostLaunches} times without an end state:\n${await logTail(log)}`,
        { remedy: `read ${log}; the next pulumi up goes on from what was reached` },
      );
    }
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

  /**
   * The status, through a connection that is made anew when it breaks, and how long that answer took: not the time for which
   * the target was away, behind which a worker that has died must not wait.
   */
  async #status(): Promise<{ status: MigrationStatus; answeredMs: number }> {
    const { migrationName } = this.inputs;
    const deadline = Date.now() + 300_000;
    for (let delayMs = 200; ; delayMs = Math.min(delayMs * 2, 5000)) {
      const askedAt = Date.now();
      try {
        this.#store ??= await this.#openStore();
        const status = this.#store && (await readStatus(this.#store, migrationName));
        if (!status) throw recordGone(migrationName);
        const { verification } = this.supervision.goal;
        if (verification !== undefined)
          refuseReplaced(status, verification, await askedVerification(this.#store!, migrationName));
        return { status, answeredMs: Date.now() - askedAt };
      } catch (error) {
        await this.close();
        this.#store = undefined;
        // The last migration to be deleted takes the records' schema with it.
        if (sqlStateOf(error) === sqlStates.undefinedTable) throw recordGone(migrationName);
        if (!isConnectionLoss(error)) throw error;
        if (Date.now() > deadline)
          throw new TimedOut(`the target has not answered for 300 s: ${messageOf(error)}`, { cause: error });
        await pause(delayMs);
      }
    }
  }
}

/** A path is the program's, relative to its folder; the worker has another one, and may outlive the file. */
const withCertificates = (endpoint: Endpoint): Endpoint =>
  endpoint.sslRootCert === undefined ? endpoint : { ...endpoint, sslRootCert: certificates(endpoint.sslRootCert) };

const recordGone = (migration: string): EngineFault =>
  new EngineFault(`the record of ${migration} has gone from the target while it was followed`, {
    remedy: "somebody deleted the migration; run pulumi up again to start it anew",
  });
