import { TakenOverError } from "../errors.js";
import { quoteIdentifier } from "../postgres/identifiers.js";
import { newWorkerName, requireRow, type WriteFence } from "./lease.js";
import { readMigration } from "./records.js";
import { Store, type StoreAddress } from "./store.js";

/** First half of the advisory lock's key; the second is a hash of the worker's name. */
const memberClass = 0x706d6872;

const locksOfMembers = `FROM pg_locks l
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.classid = ${memberClass}::int8::oid`;

/**
 * Ends the places of workers that have said nothing for so long, though each looks twice a second: one that is stopped, or
 * whose machine sleeps, keeps its sessions open, and everybody would wait for it for ever. Should it wake, it has no place.
 */
export async function endSilentMembers(right: WriteFence, database: string, silentForSeconds: number): Promise<void> {
  await right.query(
    `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
      WHERE a.state = 'idle' AND a.state_change < clock_timestamp() - make_interval(secs => $4)
        AND EXISTS (
              SELECT ${locksOfMembers} AND l.pid = a.pid AND l.objid IN (
                SELECT (hashtext(u.claimed_by)::int8 & 4294967295)::oid FROM pgmigration.unit u
                 WHERE u.migration = $1 AND u.database = $3 AND u.state = 'loading'))
        AND EXISTS (SELECT FROM pgmigration.migration WHERE name = $1 AND generation = $2)`,
    [database, silentForSeconds],
  );
}

/** Whether the worker that has claimed a unit `u` shares the copy no longer: its lock has ended with its session. */
export const claimantIsGone = `NOT EXISTS (
  SELECT ${locksOfMembers} AND l.objid = (hashtext(u.claimed_by)::int8 & 4294967295)::oid)`;

/**
 * A place beside the holder of a migration's lease, to share its copies under its generation. It ends with its session,
 * which is not made anew: what it has claimed is given to others then.
 */
export class Membership implements WriteFence {
  /** Statements run one after another: the session is shared by all that the worker does. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly store: Store,
    readonly migration: string,
    readonly generation: number,
    readonly worker: string,
  ) {}

  /** @throws TakenOverError when the migration is recorded no longer */
  static async join(address: StoreAddress, migration: string): Promise<Membership> {
    const store = await Store.find(address, `${migration} share`);
    if (!store) throw new TakenOverError(`the migration ${migration} is not recorded on the target any more`);
    try {
      const record = await readMigration(store, migration);
      if (!record) throw new TakenOverError(`the migration ${migration} is not recorded on the target any more`);
      const worker = newWorkerName();
      await store.query("SELECT pg_advisory_lock($1, hashtext($2))", [memberClass, worker]);
      return new Membership(store, migration, record.generation, worker);
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  query<Row extends object>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    const all = [this.migration, this.generation, ...values];
    const result = this.#last.then(() => this.store.query<Row & Record<string, unknown>>(sql, all));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async write(sql: string, values: readonly unknown[] = []): Promise<void> {
    requireRow(this, await this.query(sql, values));
  }

  async analyze(table: string): Promise<void> {
    this.#last = this.#last.then(() => this.store.query(`ANALYZE pgmigration.${quoteIdentifier(table)}`));
    await this.#last;
  }

  async leave(): Promise<void> {
    await this.#last.catch(() => undefined);
    await this.store.close();
  }
}
