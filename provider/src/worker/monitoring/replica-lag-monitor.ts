import type { Client } from "pg";
import { PeriodicTask } from "../../async/periodic-task.js";
import { SourceClock } from "../../cdc/source/lag.js";
import type { CopyRate } from "../../copy/copy-rate.js";
import { messageOf, RefusedError } from "../../errors.js";
import { log } from "../../log.js";
import { applicationNamePrefix, connect } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { parseLsn } from "../../postgres/lsn.js";
import { serverVersion } from "../../postgres/server-version.js";
import type { OnSlowedDown, ReplicaWatch } from "../context/work.js";
import { LagBackOff } from "./lag-back-off.js";

const checkEveryMs = 1000;

interface Replica {
  readonly name: string;
  readonly lagSeconds: number;
}

interface MonitorOptions {
  readonly source: Endpoint;
  /** Purpose of its session, part of the application_name. */
  readonly purpose: string;
  /** `maxReplicaLag`, which may change at any time. */
  readonly limitSeconds: () => number | undefined;
  readonly copyRate: CopyRate;
  /** Receives why the lag cannot be read. The copy then continues as before. */
  readonly onFailure: (why: string) => void;
}

/** The source, and its clock. */
interface Observed {
  readonly session: Client;
  readonly clock: SourceClock;
}

/** Slows the copies of this process down while a physical or logical replica of the source is too far behind. */
export class ReplicaLagMonitor implements ReplicaWatch {
  readonly #options: MonitorOptions;
  readonly #listeners = new Set<OnSlowedDown>();
  #copies = 0;
  #checks: PeriodicTask | undefined;
  #observed: Observed | undefined;
  #backOff = new LagBackOff();
  #slowedBy: string | undefined;
  #read = { bytes: 0, atMs: 0 };
  #hasFailed = false;

  constructor(options: MonitorOptions) {
    this.#options = options;
  }

  async during<Result>(database: string, copy: () => Promise<Result>, onSlowedDown?: OnSlowedDown): Promise<Result> {
    if (onSlowedDown) this.#listeners.add(onSlowedDown);
    try {
      if (this.#copies++ === 0) await this.#start(database);
      return await copy();
    } finally {
      if (onSlowedDown) this.#listeners.delete(onSlowedDown);
      if (--this.#copies === 0) await this.#stop();
    }
  }

  async #start(database: string): Promise<void> {
    this.#backOff = new LagBackOff();
    // Before the first row is read.
    await this.#check(database);
    this.#checks = new PeriodicTask({
      everyMs: checkEveryMs,
      run: () => this.#check(database),
      onFailure: (error) => log.warn(`stopped checking the lag of replicas: ${messageOf(error)}`),
      pausesFirst: true,
    });
  }

  async #stop(): Promise<void> {
    await this.#checks?.close();
    await this.#leave();
    this.#apply(undefined, undefined);
  }

  /** A failed check leaves the rate as it is. The next one opens another session. */
  async #check(database: string): Promise<void> {
    const limitSeconds = this.#options.limitSeconds();
    if (limitSeconds === undefined) {
      await this.#leave();
      this.#apply(undefined, undefined);
      return;
    }
    try {
      this.#observed ??= await this.#observe(database);
      const [farthest] = await replicasOf(this.#observed);
      this.#hasFailed = false;
      if (!farthest) {
        this.#apply(undefined, undefined);
        return;
      }
      const { name, lagSeconds } = farthest;
      const rate = this.#backOff.step({ lagSeconds, limitSeconds, bytesPerSecond: this.#bytesPerSecond() });
      const isStillSlow = this.#slowedBy !== undefined && lagSeconds > limitSeconds / 2;
      const isSlow = lagSeconds > limitSeconds || isStillSlow;
      this.#apply(rate, isSlow ? `replica ${name} is ${Math.round(lagSeconds)} s behind` : undefined);
    } catch (error) {
      if (!this.#hasFailed) this.#options.onFailure(`maxReplicaLag has no effect now: ${messageOf(error)}`);
      this.#hasFailed = true;
      await this.#leave();
    }
  }

  async #observe(database: string): Promise<Observed> {
    const { source, purpose } = this.#options;
    const session = await connect(source, { database, purpose });
    return { session, clock: new SourceClock(session, await serverVersion(session)) };
  }

  async #leave(): Promise<void> {
    const observed = this.#observed;
    this.#observed = undefined;
    await observed?.session.end().catch(() => undefined);
  }

  #bytesPerSecond(): number {
    const { bytes, atMs } = this.#read;
    this.#read = { bytes: this.#options.copyRate.bytesRead, atMs: performance.now() };
    return ((this.#read.bytes - bytes) * 1000) / Math.max(1, this.#read.atMs - atMs);
  }

  #apply(rate: number | undefined, slowedBy: string | undefined): void {
    this.#options.copyRate.ofProcess = rate;
    const hasChanged = (this.#slowedBy === undefined) !== (slowedBy === undefined);
    this.#slowedBy = slowedBy;
    if (hasChanged) for (const listener of this.#listeners) listener(slowedBy);
  }
}

/**
 * The connected replicas and their lag, the longest first. The server's own `replay_lag` no longer grows when a replica stops
 * answering. Therefore the age of the oldest WAL that a replica lacks counts, too.
 */
async function replicasOf({ session, clock }: Observed): Promise<Replica[]> {
  const end = await clock.ask();
  const [replayed, lag] =
    (await serverVersion(session)) >= 100000
      ? ["replay_lsn", "coalesce(extract(epoch FROM replay_lag), 0)::float8"]
      : ["replay_location", "0::float8"];
  const { rows } = await session.query<{ name: string; state: string | null; replayed: string | null; lag: number }>(
    `SELECT coalesce(nullif(application_name, ''), pid::text) AS name, state, ${replayed}::text AS replayed, ${lag} AS lag
       FROM pg_catalog.pg_stat_replication WHERE strpos(coalesce(application_name, ''), $1) <> 1`,
    [applicationNamePrefix],
  );
  if (rows.some(({ state }) => state === null)) throw notVisible(session.user ?? "");
  const replicas = rows
    .filter(({ state, replayed }) => replayed !== null && (state === "streaming" || state === "catchup"))
    .map((row) => ({ ...row, replayed: parseLsn(row.replayed!) }));
  replicas.sort((one, other) => (one.replayed < other.replayed ? -1 : 1));
  const lags = replicas.map(({ name, replayed: reached, lag: measured }, position) => {
    // The clock keeps no sample that the first replica has reached. The others have at most its lag.
    const age = position === 0 ? clock.secondsBehind(reached) : 0;
    return { name, lagSeconds: reached >= end ? 0 : Math.max(age, measured) };
  });
  return lags.sort((one, other) => other.lagSeconds - one.lagSeconds);
}

const notVisible = (user: string): RefusedError =>
  new RefusedError("the source does not show its replicas to this role", {
    remedy: `on the source, as a superuser: GRANT pg_monitor TO ${quoteIdentifier(user)}`,
  });
