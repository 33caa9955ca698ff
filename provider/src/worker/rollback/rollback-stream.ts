import type { Client } from "pg";
import { delay } from "../../async/delay.js";
import { LatestValue } from "../../async/latest-value.js";
import { SerialQueue } from "../../async/serial-queue.js";
import type { FollowStatus } from "../../cdc/follow-options.js";
import { Follower } from "../../cdc/follower.js";
import { rollbackNames, rollbackProgress } from "../../cdc/model/names.js";
import { rollbackRoles } from "../../cdc/model/stream-roles.js";
import { EngineError, RefusedError, TakenOverError, messageOf } from "../../errors.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { ChangeReporter, log } from "../../log.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { RollbackStatus } from "../../status.js";
import type { DatabaseRecord } from "../../store/records.js";
import { replicaTriggerGaps } from "../../validation/replication/replica-triggers.js";
import { tablesInScope } from "../context/tables-in-scope.js";
import type { Work } from "../context/work.js";
import { publicationsOf } from "./open-rollback.js";
import { type RollbackPlan, RollbackTableNames } from "./rollback-tables.js";

const retryMs = 5000;
const restartCheckMs = 500;

/**
 * Applies the changes of one database of the target to the source, and records its state. A change that the source refuses
 * pauses it, because the succeeded migration must not fail afterwards. A trigger of the source that fires for applied changes
 * stops it until the trigger is dropped.
 */
export class RollbackStream {
  /** Rejects with an error that ends the worker. Never resolves. */
  readonly failure: Promise<never>;
  readonly #work: Work;
  readonly #record: DatabaseRecord;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;
  readonly #reports = new SerialQueue();
  readonly #latest = new LatestValue<RollbackStatus>(
    (report) => this.#enqueue(report),
    (status) => this.#work.journal.rollbackReplication(this.#record.name, status),
  );
  #fail: (error: unknown) => void = () => undefined;
  #follower: Follower;
  #runningState: "following" | "returning" = "following";
  /** Why the follower was stopped until the source is altered. */
  #stoppedFor: RefusedError | undefined;

  constructor(work: Work, record: DatabaseRecord) {
    this.#work = work;
    this.#record = record;
    this.failure = new Promise<never>((_resolve, reject) => (this.#fail = reject));
    // Prevents an unhandled rejection while nothing awaits it.
    this.failure.catch(() => undefined);
    this.#follower = this.#follow();
    this.#running = this.#restartFollowers().catch((error: unknown) => this.#fail(error));
  }

  /** Records that the return to the source has started. */
  async startReturn(): Promise<void> {
    this.#runningState = "returning";
    // An earlier report must not overwrite this state.
    await this.#reports.idle();
    await this.#work.journal.rollbackReplication(this.#record.name, { ...this.#counts(), state: "returning" });
  }

  /** Records why the stream does not apply changes. */
  reportPause(message: string): void {
    this.#report({ ...this.#counts(), state: "paused", message });
  }

  /** Stops the follower if a trigger or rule was created on the source that fires for its changes. Returns why. */
  async stopForTriggers(source: Client): Promise<RefusedError | undefined> {
    const firing = await firingOnSource(source, this.#work.spec);
    if (!firing) return undefined;
    const isStopped = this.#stoppedFor !== undefined;
    this.#stoppedFor = firing;
    if (!isStopped) await this.#follower.stop();
    return firing;
  }

  /**
   * The follower, which starts again within seconds after such a trigger was dropped.
   *
   * @throws RefusedError naming the triggers
   */
  async requireFollower(source: Client): Promise<Follower> {
    const { signal } = this.#work;
    for (;;) {
      const firing = await this.stopForTriggers(source);
      if (firing) throw firing;
      if (!this.#stoppedFor) return this.#follower;
      await Promise.race([delay(restartCheckMs, signal), this.failure]);
      signal.throwIfAborted();
    }
  }

  async close(): Promise<void> {
    this.#stopped.abort();
    await this.#follower.stop();
    await this.#running;
    await this.#reports.idle();
  }

  #follow(): Follower {
    const { spec, source, target, generation, signal } = this.#work;
    const { name, targetName } = this.#record;
    const names = rollbackNames(spec, name);
    const { sourceSearchPath, rollbackTables = {} } = this.#record.deferredPlan as RollbackPlan;
    const tables = new RollbackTableNames(rollbackTables);
    return new Follower({
      source: target,
      target: source,
      database: targetName,
      targetDatabase: name,
      slot: names.slot,
      publications: publicationsOf(names),
      migration: rollbackProgress(spec.migrationName),
      generation,
      signal,
      reconnectForSeconds: spec.reconnectFor,
      applySessions: () => this.#work.spec.applySessions,
      parts: rollbackRoles,
      // A table of the target can get the name of an excluded table, which may belong to another owner.
      writableTables: (client) => tablesInScope(client, this.#work.spec),
      targetNames: (client) => tables.read(client),
      isExchanged: (relation) => tables.isExchanged(relation),
      searchPath: sourceSearchPath,
      onProgress: (status) => {
        if (status.state === "streaming") this.#report({ ...countsOf(status), state: this.#runningState });
      },
    });
  }

  /** Replaces a failed follower: a change that the source refuses is retried until the source accepts it. */
  async #restartFollowers(): Promise<void> {
    const pauses = new ChangeReporter();
    while (!this.#isStopped()) {
      try {
        await this.#follower.finished;
        // The worker or close() stopped it.
        if (!this.#stoppedFor) return;
        throw this.#stoppedFor;
      } catch (error) {
        if (this.#isStopped()) return;
        if (error instanceof TakenOverError || error instanceof EngineError) throw error;
        const message = messageOf(error);
        this.reportPause(message);
        if (pauses.isNew(message))
          await this.#work.journal.event(`the rollback replication is paused: ${message}`, {
            database: this.#record.name,
            level: "warning",
          });
        await delay(retryMs, this.#stopped.signal);
        if (!this.#isStopped() && (await this.#mayFollow()) && !this.#stoppedFor) this.#follower = this.#follow();
      }
    }
  }

  /** Whether the source no longer has the trigger for which the follower was stopped. */
  async #mayFollow(): Promise<boolean> {
    if (!this.#stoppedFor) return true;
    const { spec, source } = this.#work;
    const session = { database: this.#record.name, purpose: `${spec.migrationName} rollback` };
    const firing = await withSession(source, session, (client) => firingOnSource(client, spec)).catch(
      () => this.#stoppedFor,
    );
    if (!this.#isStopped()) this.#stoppedFor = firing;
    return firing === undefined;
  }

  #counts(): Omit<RollbackStatus, "state"> {
    return countsOf(this.#follower.status());
  }

  #report(status: RollbackStatus): void {
    this.#latest.add(status);
  }

  /** Writes to the records in the background, one after another. If the lease is lost, other writes end the worker. */
  #enqueue(report: () => Promise<void>): void {
    this.#reports
      .run(report)
      .catch((error: unknown) =>
        log.warn(`${this.#record.name}: cannot record the state of the rollback replication: ${messageOf(error)}`),
      );
  }

  #isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }
}

/** The error for triggers and rules of the source that fire for applied changes; undefined if there are none. */
async function firingOnSource(source: Client, spec: MigrationSpec): Promise<RefusedError | undefined> {
  const gaps = await replicaTriggerGaps(source, spec);
  if (gaps.length === 0) return undefined;
  return new RefusedError(gaps.map(({ message }) => message).join("; "), {
    remedy: gaps.map(({ remedy }) => remedy).join("; "),
    code: "PGM-605",
  });
}

const countsOf = ({
  inserts,
  updates,
  deletes,
  latencySeconds,
  lagBytes,
}: FollowStatus): Omit<RollbackStatus, "state"> => ({
  inserts,
  updates,
  deletes,
  latencySeconds,
  ...(lagBytes === undefined ? {} : { lagBytes }),
});
