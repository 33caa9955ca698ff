import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Notifier } from "../async/notifier.js";
import { engineVersion } from "../engine-version.js";
import { TakenOverError, TimeoutError, messageOf } from "../errors.js";
import { StatementQueue } from "../postgres/connection/statement-queue.js";
import { quoteIdentifier } from "../postgres/identifiers.js";
import { hasEnded, type MigrationState, type WorkerState } from "../status.js";
import { describeSessions, endSessions } from "./advisory-lock.js";
import type { StoreAddress } from "./installation/records-database.js";
import { Store } from "./store.js";

/** First half of the advisory lock's key. The second half is a hash of the migration's name. */
const leaseClass = 0x6d696772;

/** The condition in each write of a worker; `$1` and `$2` are those of {@link Lease.query}. */
export const holdsLease = "EXISTS (SELECT FROM pgmigration.migration WHERE name = $1 AND generation = $2)";

/**
 * Permits a process to write records of a migration: the lease, or a membership. Statements get the migration's name as
 * `$1` and the generation as `$2`, and must compare both.
 */
export interface WriteFence {
  readonly migration: string;
  readonly generation: number;
  /** Unique among all workers of the migration. */
  readonly worker: string;
  /** Reads the records of all migrations in the same session, without comparing the generation. */
  readonly records: Pick<Store, "query">;
  query<Row extends object>(sql: string, values?: readonly unknown[]): Promise<Row[]>;
  /** Runs a write that changes one row. @throws TakenOverError when it changed none */
  write(sql: string, values?: readonly unknown[]): Promise<void>;
  /** Updates the planner's statistics after thousands of rows were added to a table of the records. */
  analyze(table: string): Promise<void>;
}

/** Distinguishes containers, which may have the same host name and process ID. */
const processTag = randomBytes(4).toString("hex");

/** Host and process ID for display, then 8 digits of this process and 8 of the name: `db1:4711:0a1b2c3d4e5f6071`. */
export const newWorkerName = (): string =>
  `${hostname()}:${process.pid}:${processTag}${randomBytes(4).toString("hex")}`;

/** Host and process ID in the name of a worker. */
export const shownWorker = (worker: string): string => worker.slice(0, worker.lastIndexOf(":"));

/**
 * A worker reads requests twice a second in the session that holds its lease. A worker that is suspended keeps that
 * session open and would block its successors forever.
 */
const silentAfterSeconds = 60;

/** Whether a worker has stopped responding, so that the next one may terminate its session. */
export const isSilent = ({ silentSeconds }: Holder): boolean => silentSeconds >= silentAfterSeconds;

export interface Holder {
  readonly backendPid: number;
  /** Seconds since the worker's last query. 0 for other holders, such as a deletion. */
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
 * The state of a migration's worker. A session that holds the lease but is not the recorded one belongs to a worker
 * that just started, or to a deletion.
 *
 * @param recordedPid the backend of the recorded worker
 */
export function workerState(
  state: MigrationState,
  recordedPid: number | null | undefined,
  holder: Holder | undefined,
): WorkerState {
  if (holder && !isSilent(holder) && holder.backendPid === recordedPid) return "running";
  return hasEnded(state) ? "ended" : "lost";
}

interface LeaseTerm {
  readonly generation: number;
  /** Start of the migration in the records. Distinguishes it from other migrations of the same name, on any target. */
  readonly startedAt: string;
}

/**
 * The right to work on a migration. It consists of a session advisory lock on the target, which ends with its session, and of
 * a generation number, which each write compares. A worker that reconnects can continue only if no other worker has
 * started.
 */
export class Lease implements WriteFence {
  readonly worker = newWorkerName();
  /** Notified when a request for the migration is recorded, unless the connection was lost at that moment. */
  readonly asked = new Notifier();
  /** How long a lost target is awaited. The worker sets it to `reconnectFor` of the spec, which it reads under the lease. */
  reconnectForSeconds = 300;
  #store: Store;
  readonly #statements = new StatementQueue({
    query: (sql, values) => this.#store.query(sql, values),
    reopen: () => this.#reacquire(),
    reopenForSeconds: () => this.reconnectForSeconds,
    unreachable: (cause) =>
      new TimeoutError(
        `the target could not be reached again within ${this.reconnectForSeconds} s (${messageOf(cause)})`,
        { remedy: "check the target; the next pulumi up resumes from the records", cause },
      ),
  });

  readonly records: WriteFence["records"] = {
    query: (sql, values) => this.#statements.run(sql, values ?? []),
  };

  private constructor(
    store: Store,
    readonly address: StoreAddress,
    readonly migration: string,
    readonly term: LeaseTerm,
  ) {
    this.#store = store;
  }

  get generation(): number {
    return this.term.generation;
  }

  get startedAt(): string {
    return this.term.startedAt;
  }

  /**
   * Terminates the session of a worker that was silent for a minute. If that worker resumes, it finds a newer
   * generation.
   *
   * @throws TakenOverError when another worker holds the lease
   */
  static async acquire(
    address: StoreAddress,
    migration: string,
    silentForSeconds = silentAfterSeconds,
  ): Promise<Lease> {
    const store = await Store.find(address, `${migration} lease`);
    if (!store) throw notRecorded(migration);
    try {
      await lock(store, migration, async ({ backendPid, silentSeconds }) => {
        if (silentSeconds < silentForSeconds) throw await leaseHeldError(store, migration, backendPid);
        await endSilentWorker(store, migration, backendPid);
      });
      const [row] = await store.query<{ generation: string; startedAt: string }>(
        // This worker writes its own findings, and a stop request was meant for its predecessor.
        `WITH stale AS (DELETE FROM pgmigration.request WHERE migration = $1 AND kind = 'stop')
         UPDATE pgmigration.migration
            SET generation = generation + 1, worker = $2::jsonb || jsonb_build_object('backendPid', pg_backend_pid()),
                state = CASE WHEN ended_at IS NULL THEN 'InProgress' ELSE state END,
                sub_state = CASE WHEN ended_at IS NULL THEN 'PerformingPreRequisiteSteps' ELSE sub_state END
          WHERE name = $1 RETURNING generation, started_at::text AS "startedAt"`,
        [migration, { host: hostname(), pid: process.pid, since: new Date().toISOString(), version: engineVersion }],
      );
      if (!row) throw notRecorded(migration);
      const term = { generation: Number(row.generation), startedAt: row.startedAt };
      const lease = new Lease(store, address, migration, term);
      await store.listen(migration, () => lease.asked.notify());
      return lease;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /**
   * Runs one statement under the lease. `$1` is the migration's name and `$2` the generation, which the statement must
   * compare. See {@link StatementQueue} for the order, and for statements that run twice.
   */
  query<Row extends object>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    return this.#statements.run<Row>(sql, [this.migration, this.generation, ...values]);
  }

  async analyze(table: string): Promise<void> {
    await this.#statements.run(`ANALYZE pgmigration.${quoteIdentifier(table)}`, []);
  }

  /** Runs a write that changes one row, like {@link query}. @throws TakenOverError when it changed none */
  async write(sql: string, values: readonly unknown[] = []): Promise<void> {
    requireRow(this, await this.query(sql, values));
  }

  async release(): Promise<void> {
    await this.#statements.close();
    await this.#store.close();
  }

  async #reacquire(): Promise<void> {
    await this.#store.close().catch(() => undefined);
    const store = await Store.find(this.address, `${this.migration} lease`);
    if (!store) throw notRecorded(this.migration);
    try {
      await this.#lockAgain(store);
    } catch (error) {
      await store.close().catch(() => undefined);
      throw error;
    }
    this.#store = store;
  }

  async #lockAgain(store: Store): Promise<void> {
    await store.listen(this.migration, () => this.asked.notify());
    if (!(await this.#isCurrent(store)))
      throw new TakenOverError(`another worker has taken over migration ${this.migration}`);
    // The lock's holder can only be our old session, whose end the server has not noticed.
    await lock(store, this.migration, async ({ backendPid }) => {
      if (await this.#isCurrent(store)) await store.query("SELECT pg_terminate_backend($1)", [backendPid]);
    });
    // Until the lock was held, the record could be replaced by that of a later migration.
    const rows = await store.query(
      `UPDATE pgmigration.migration SET worker = worker || jsonb_build_object('backendPid', pg_backend_pid())
        WHERE name = $1 AND generation = $2 AND started_at = $3 RETURNING name`,
      [this.migration, this.generation, this.startedAt],
    );
    requireRow(this, rows);
  }

  /** Whether the record still has this generation. The record of a later migration of this name begins with the first one again. */
  async #isCurrent(store: Store): Promise<boolean> {
    const rows = await store.query(
      "SELECT FROM pgmigration.migration WHERE name = $1 AND generation = $2 AND started_at = $3",
      [this.migration, this.generation, this.startedAt],
    );
    return rows.length === 1;
  }
}

/** @throws TakenOverError when a write of one row changed none, because another generation has started */
export function requireRow({ migration, generation }: WriteFence, rows: readonly object[]): void {
  if (rows.length === 0)
    throw new TakenOverError(`another worker has taken over migration ${migration} (after generation ${generation})`);
}

/**
 * Prevents workers of a migration from starting until the store's session ends. @throws TakenOverError when one runs
 */
export async function holdLease(store: Store, migration: string): Promise<void> {
  await lock(store, migration, () => Promise.resolve());
}

/** Any role with a connection can hold the lock, so that the session is named. */
export const leaseHeldError = async ({ client }: Store, migration: string, pid: number): Promise<TakenOverError> =>
  new TakenOverError(
    `another session holds the lease of migration ${migration}: ${await describeSessions(client, [pid])}`,
    { remedy: `if it is no worker of this migration, ${endSessions([pid])}` },
  );

const lockAttempts = 50;

async function lock(store: Store, migration: string, onHeld: (holder: Holder) => Promise<void>): Promise<void> {
  for (let attempt = 0; !(await tryLock(store, migration)); attempt++) {
    if (attempt === lockAttempts) throw new TakenOverError(`another session holds the lease of migration ${migration}`);
    const holder = await leaseHolder(store, migration);
    if (holder) await onHeld(holder);
    await sleep(200);
  }
}

/** The generation is raised first, because the worker could resume at this moment and take the lease again. */
async function endSilentWorker(store: Store, migration: string, backendPid: number): Promise<void> {
  await store.query(
    "UPDATE pgmigration.migration SET generation = generation + 1 WHERE name = $1 AND (worker ->> 'backendPid')::int = $2",
    [migration, backendPid],
  );
  await store.query("SELECT pg_terminate_backend($1)", [backendPid]);
}

const notRecorded = (migration: string): TakenOverError =>
  new TakenOverError(`the migration ${migration} is not recorded on the target`);

async function tryLock(store: Store, migration: string): Promise<boolean> {
  const [row] = await store.query<{ locked: boolean }>("SELECT pg_try_advisory_lock($1, hashtext($2)) AS locked", [
    leaseClass,
    migration,
  ]);
  return row!.locked;
}
