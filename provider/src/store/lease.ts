import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Notifier } from "../async/notifier.js";
import { engineVersion } from "../engine-version.js";
import { TakenOverError, TimeoutError, messageOf } from "../errors.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { quoteIdentifier } from "../postgres/identifiers.js";
import { hasEnded, type MigrationState, type WorkerState } from "../status.js";
import { Store, type StoreAddress } from "./store.js";

/** First half of the advisory lock's key; the second is a hash of the migration's name. */
const leaseClass = 0x6d696772;

/** The condition that every write of a worker has in it; `$1` and `$2` are those of {@link Lease.query}. */
export const holdsLease = "EXISTS (SELECT FROM pgmigration.migration WHERE name = $1 AND generation = $2)";

/**
 * What lets a process write down what it does for a migration: the lease, or a place beside its holder. Statements have
 * the migration's name as `$1` and the generation as `$2`, which they must compare.
 */
export interface WriteFence {
  readonly migration: string;
  readonly generation: number;
  /** Names this process, now, among all that ever work on the migration. */
  readonly worker: string;
  query<Row extends object>(sql: string, values?: readonly unknown[]): Promise<Row[]>;
  /** For a write that changes one row. @throws TakenOverError when it changed none */
  write(sql: string, values?: readonly unknown[]): Promise<void>;
  /** Has the planner look at a table of the records that thousands of rows have come to at once. */
  analyze(table: string): Promise<void>;
}

/** Host and process, for people, and what makes it unique: containers have few process numbers. */
export const newWorkerName = (): string => `${hostname()}:${process.pid}:${randomBytes(4).toString("hex")}`;

/**
 * A worker looks for requests twice a second, through the session that holds its lease. One that is stopped, or whose
 * machine sleeps, keeps that session open, and would be waited for for ever.
 */
const silentAfterSeconds = 60;

/** Whether a worker is there, but does nothing any more: the next one may end its session. */
export const isSilent = ({ silentSeconds }: Holder): boolean => silentSeconds >= silentAfterSeconds;

export interface Holder {
  readonly backendPid: number;
  /** For how long a worker has said nothing; 0 of others, who hold the lease in silence: a removal, for one. */
  readonly silentSeconds: number;
}

/**
 * SQL for the session that holds a migration's lease: `pid`, `silent_seconds`.
 *
 * @param name an SQL expression for the migration's name
 */
export const leaseHolderQuery = (name: string): string => `
  SELECT l.pid, (SELECT extract(epoch FROM clock_timestamp() - a.state_change)::float8
                   FROM pg_stat_activity a JOIN pgmigration.migration w ON (w.worker ->> 'backendPid')::int = a.pid
                  WHERE a.pid = l.pid AND w.name = ${name} AND a.state = 'idle') AS silent_seconds
    FROM pg_locks l
   WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
     AND l.classid = ${leaseClass}::int8::oid AND l.objid = (hashtext(${name})::int8 & 4294967295)::oid`;

/** The session that holds the lease of a migration; undefined without one. */
export async function leaseHolder(store: Store, migration: string): Promise<Holder | undefined> {
  const [row] = await store.query<{ pid: number; silent_seconds: number | null }>(leaseHolderQuery("$1"), [migration]);
  return row && { backendPid: row.pid, silentSeconds: row.silent_seconds ?? 0 };
}

/**
 * What a migration's worker is doing. A session that holds the lease but is not the recorded one belongs to a worker that
 * has just started, or to a deletion.
 *
 * @param recordedPid the backend of the worker that is recorded
 */
export function workerState(
  state: MigrationState,
  recordedPid: number | null | undefined,
  holder: Holder | undefined,
): WorkerState {
  if (holder && !isSilent(holder) && holder.backendPid === recordedPid) return "running";
  return hasEnded(state) ? "ended" : "lost";
}

/**
 * The right to work on a migration: a session advisory lock on the target, which ends with its session, and a generation
 * number, which every write compares. A worker that was cut off for a while can go on only while nobody came after it.
 */
export class Lease implements WriteFence {
  readonly worker = newWorkerName();
  /** Rings when something is asked of the migration, unless the target's connection is being made anew at that moment. */
  readonly asked = new Notifier();
  #store: Store;
  /** When the connection was lost over which no statement has run since. */
  #lostSince: number | undefined;
  /** Statements run one after another: the session is shared by all that the worker does. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    store: Store,
    readonly address: StoreAddress,
    readonly migration: string,
    readonly generation: number,
    /** When the migration began, as the records have it: tells it from all others of its name, on any target. */
    readonly startedAt: string,
    readonly reconnectForSeconds: number,
  ) {
    this.#store = store;
  }

  /**
   * Ends the session of a worker that has said nothing for a minute; should it wake, it is taken over.
   *
   * @throws TakenOverError when another worker holds the lease
   */
  static async acquire(
    address: StoreAddress,
    migration: string,
    reconnectForSeconds = 300,
    silentForSeconds = silentAfterSeconds,
  ): Promise<Lease> {
    const store = await Store.find(address, `${migration} lease`);
    if (!store) throw notRecorded(migration);
    try {
      await lock(store, migration, async ({ backendPid, silentSeconds }) => {
        if (silentSeconds < silentForSeconds)
          throw new TakenOverError(`another worker holds the lease of migration ${migration}`);
        await endSilentWorker(store, migration, backendPid);
      });
      const [row] = await store.query<{ generation: string; startedAt: string }>(
        // What the worker before has reached is said anew, and what it was told to do was meant for it.
        `WITH stale AS (DELETE FROM pgmigration.request WHERE migration = $1 AND kind = 'stop')
         UPDATE pgmigration.migration
            SET generation = generation + 1, worker = $2::jsonb || jsonb_build_object('backendPid', pg_backend_pid()),
                state = CASE WHEN ended_at IS NULL THEN 'InProgress' ELSE state END,
                sub_state = CASE WHEN ended_at IS NULL THEN 'PerformingPreRequisiteSteps' ELSE sub_state END
          WHERE name = $1 RETURNING generation, started_at::text AS "startedAt"`,
        [migration, { host: hostname(), pid: process.pid, since: new Date().toISOString(), version: engineVersion }],
      );
      if (!row) throw notRecorded(migration);
      const lease = new Lease(store, address, migration, Number(row.generation), row.startedAt, reconnectForSeconds);
      await store.listen(migration, () => lease.asked.notify());
      return lease;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /**
   * Runs one statement under the lease; `$1` is the migration's name and `$2` the generation, which the statement must
   * compare. A lost connection is made anew, and the statement run again: it must be one that may run twice.
   */
  query<Row extends object>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    return this.#inTurn<Row>(sql, [this.migration, this.generation, ...values]);
  }

  async analyze(table: string): Promise<void> {
    await this.#inTurn(`ANALYZE pgmigration.${quoteIdentifier(table)}`, []);
  }

  #inTurn<Row extends object>(sql: string, values: readonly unknown[]): Promise<Row[]> {
    const result = this.#last.then(() => this.#run<Row>(sql, values));
    this.#last = result.catch(() => undefined);
    return result;
  }

  /**
   * Statements wait for one another: were each given the whole patience, a target that is gone would be waited for as
   * often.
   */
  async #run<Row extends object>(sql: string, values: readonly unknown[]): Promise<Row[]> {
    for (let delayMs = 100, tries = 0; ; delayMs = Math.min(delayMs * 2, 5000), tries++) {
      try {
        const rows = await this.#store.query<Row>(sql, values);
        this.#lostSince = undefined;
        return rows;
      } catch (error) {
        if (!isConnectionLoss(error)) throw error;
        this.#lostSince ??= Date.now();
        if (tries > 0 && Date.now() > this.#lostSince + this.reconnectForSeconds * 1000)
          throw new TimeoutError(
            `the target did not come back within ${this.reconnectForSeconds} s (${messageOf(error)})`,
            { remedy: "check the target; the next pulumi up goes on from what was reached", cause: error },
          );
        await sleep(delayMs);
        await this.#reacquire().catch((failure: unknown) => {
          if (!isConnectionLoss(failure)) throw failure;
        });
      }
    }
  }

  /** Like {@link query}, for a write that changes one row. @throws TakenOverError when it changed none */
  async write(sql: string, values: readonly unknown[] = []): Promise<void> {
    requireRow(this, await this.query(sql, values));
  }

  async release(): Promise<void> {
    await this.#last;
    await this.#store.close();
  }

  async #reacquire(): Promise<void> {
    await this.#store.close().catch(() => undefined);
    const store = await Store.find(this.address, `${this.migration} lease`);
    if (!store) throw notRecorded(this.migration);
    this.#store = store;
    await store.listen(this.migration, () => this.asked.notify());
    const [row] = await this.#store.query<{ generation: string }>(
      "SELECT generation FROM pgmigration.migration WHERE name = $1",
      [this.migration],
    );
    if (Number(row?.generation) !== this.generation)
      throw new TakenOverError(`another worker has taken over migration ${this.migration}`);
    // While the generation is ours, so is the session that holds the lock: our old one, which the server believes alive.
    await lock(this.#store, this.migration, async ({ backendPid }) => {
      await this.#store.query("SELECT pg_terminate_backend($1)", [backendPid]);
    });
    await this.#store.query(
      `UPDATE pgmigration.migration SET worker = worker || jsonb_build_object('backendPid', pg_backend_pid())
        WHERE name = $1 AND generation = $2`,
      [this.migration, this.generation],
    );
  }
}

/** @throws TakenOverError when a write that changes one row has changed none: another generation has begun */
export function requireRow({ migration, generation }: WriteFence, rows: readonly object[]): void {
  if (rows.length === 0)
    throw new TakenOverError(`another worker has taken over migration ${migration} (after generation ${generation})`);
}

/** Keeps every worker away from a migration until the store's session ends. @throws TakenOverError when one is at work */
export async function holdLease(store: Store, migration: string): Promise<void> {
  await lock(store, migration, () => Promise.resolve());
}

const lockAttempts = 50;

async function lock(store: Store, migration: string, onHeld: (holder: Holder) => Promise<void>): Promise<void> {
  for (let attempt = 0; !(await tryLock(store, migration)); attempt++) {
    if (attempt === lockAttempts) throw new TakenOverError(`another session holds the lease of migration ${migration}`);
    const holder = await leaseHolder(store, migration);
    if (holder) await onHeld(holder);
    await sleep(200);
  }
}

/** Fenced first: it may wake right now, and would take the lease again. */
async function endSilentWorker(store: Store, migration: string, backendPid: number): Promise<void> {
  await store.query(
    "UPDATE pgmigration.migration SET generation = generation + 1 WHERE name = $1 AND (worker ->> 'backendPid')::int = $2",
    [migration, backendPid],
  );
  await store.query("SELECT pg_terminate_backend($1)", [backendPid]);
}

const notRecorded = (migration: string): TakenOverError =>
  new TakenOverError(`the migration ${migration} is not recorded on the target any more`);

async function tryLock(store: Store, migration: string): Promise<boolean> {
  const [row] = await store.query<{ locked: boolean }>("SELECT pg_try_advisory_lock($1, hashtext($2)) AS locked", [
    leaseClass,
    migration,
  ]);
  return row!.locked;
}
