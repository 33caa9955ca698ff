import { TakenOverError } from "../errors.js";
import { quoteIdentifier } from "../postgres/identifiers.js";
import { newWorkerName, requireRow, type WriteFence } from "./lease.js";
import { readMigration } from "./records.js";
import type { StoreAddress } from "./installation/records-database.js";
import { Store } from "./store.js";

/** First half of the advisory lock's key. The second half is a hash of the worker's name. */
const memberClass = 0x706d6872;

const locksOfMembers = `FROM pg_locks l
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.classid = ${memberClass}::int8::oid`;

interface SilentMembers {
  readonly database: string;
  /** SQL: the tasks `u`, with `claimed_by`, that are not complete. */
  readonly open: string;
  readonly silentForSeconds: number;
}

/**
 * Ends the memberships of workers without a query for the given time. Healthy workers query twice a second. A suspended
 * worker keeps its sessions open, and would otherwise be awaited forever. If it resumes, it has no membership.
 */
export async function endSilentMembers(
  right: WriteFence,
  { database, open, silentForSeconds }: SilentMembers,
): Promise<void> {
  await right.query(
    `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
      WHERE a.state = 'idle' AND a.state_change < clock_timestamp() - make_interval(secs => $4)
        AND EXISTS (
              SELECT ${locksOfMembers} AND l.pid = a.pid AND l.objid IN (
                SELECT (hashtext(u.claimed_by)::int8 & 4294967295)::oid FROM ${open}
                   AND u.migration = $1 AND u.database = $3))
        AND EXISTS (SELECT FROM pgmigration.migration WHERE name = $1 AND generation = $2)`,
    [database, silentForSeconds],
  );
}

/** SQL condition: the worker that claimed task `u` no longer shares the copy. Its lock ended with its session. */
export const claimantIsGone = `NOT EXISTS (
  SELECT ${locksOfMembers} AND l.objid = (hashtext(u.claimed_by)::int8 & 4294967295)::oid)`;

/**
 * The right to share the copies of a migration under the generation of the lease's holder. It ends with its session,
 * which never reconnects: other workers then get the claimed tasks.
 */
export class Membership implements WriteFence {
  readonly #unanswered = new Set<Promise<unknown>>();

  private constructor(
    readonly store: Store,
    readonly migration: string,
    readonly generation: number,
    readonly worker: string,
  ) {}

  /** @throws TakenOverError when the migration is no longer recorded */
  static async join(address: StoreAddress, migration: string): Promise<Membership> {
    const store = await Store.find(address, `${migration} share`);
    if (!store) throw new TakenOverError(`the migration ${migration} is not recorded on the target`);
    try {
      const record = await readMigration(store, migration);
      if (!record) throw new TakenOverError(`the migration ${migration} is not recorded on the target`);
      const worker = newWorkerName();
      await store.query("SELECT pg_advisory_lock($1, hashtext($2))", [memberClass, worker]);
      return new Membership(store, migration, record.generation, worker);
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  get records(): Pick<Store, "query"> {
    return this.store;
  }

  query<Row extends object>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    const all = [this.migration, this.generation, ...values];
    return this.#untilLeft(this.store.query<Row & Record<string, unknown>>(sql, all));
  }

  async write(sql: string, values: readonly unknown[] = []): Promise<void> {
    requireRow(this, await this.query(sql, values));
  }

  async analyze(table: string): Promise<void> {
    await this.#untilLeft(this.store.query(`ANALYZE pgmigration.${quoteIdentifier(table)}`));
  }

  #untilLeft<Result>(statement: Promise<Result>): Promise<Result> {
    const forget = (): boolean => this.#unanswered.delete(statement);
    this.#unanswered.add(statement);
    statement.then(forget, forget);
    return statement;
  }

  async leave(): Promise<void> {
    await Promise.allSettled(this.#unanswered);
    await this.store.close();
  }
}
