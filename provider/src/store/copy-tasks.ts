import type { Entry } from "../schema/sql/toc-entries.js";
import type { SkippedEntry } from "../schema/restore/restore-context.js";
import { TakenOverError } from "../errors.js";
import { holdsLease, type WriteFence } from "./lease.js";
import { claimantIsGone, endSilentMembers } from "./membership.js";

/** A table to copy, or one index or constraint to build on it. */
export interface NewCopyTask {
  readonly kind: "table" | "index";
  readonly schema: string;
  readonly table: string;
  /** What it is called where it is shown: the table's or the index's name. */
  readonly entry: string;
  readonly bytesTotal: number;
  readonly rowsEstimated: number;
  /** A whole table of a few rows, or an index of one: claimed together with others. */
  readonly small: boolean;
  /** False for an index whose table is among the units: it waits for that. */
  readonly ready: boolean;
  /** A table of which the rows need those of others on the target: it waits for all tables that are not late. */
  readonly late: boolean;
  /** For one of several parts of a table: which of its rows. */
  readonly condition?: string | undefined;
  /** For an index: what is to be run. */
  readonly build?: Entry | undefined;
}

export interface CopyTask {
  readonly id: number;
  readonly kind: "table" | "index";
  readonly schema: string;
  readonly table: string;
  readonly condition: string | undefined;
  readonly build: Entry | undefined;
  /** A worker that is gone had begun it. */
  readonly returned: boolean;
}

/** What a copied table has moved. */
export interface CompletedCopyTask {
  readonly id: number;
  readonly bytes: number;
  readonly rows: number;
}

/** What the target did not take, as `RestoreContext` has it. */
export interface Skipped {
  readonly entries: readonly (readonly [id: number, skipped: SkippedEntry])[];
  readonly missing: readonly string[];
}

/** The session on the target that does what is claimed: once it has ended, so has the work. */
export interface TargetSession {
  readonly pid: number;
  /** Its backend_start: process numbers come again. */
  readonly since: string;
}

/** Numbers of units by kind. */
export interface Counts {
  readonly tables: number;
  readonly indexes: number;
}

/** Units whose worker was gone. */
export interface Returned {
  readonly completed: number;
  readonly queued: number;
}

/** How many small units are claimed at once: so few are repeated when a worker dies, and so few run in one transaction. */
const mostTogether = 100;

const ours = "u.migration = $1 AND u.database = $3";

/**
 * The units of one database's base copy, which processes claim one after another. Ids count from 0, in the given order.
 *
 * Each is done exactly once, whatever becomes of who has claimed it: a claim names the session on the target that does the
 * work, and the number of the target's transaction is written down before its COMMIT. Before a unit is given to somebody
 * else that session is ended, and then the server knows whether the transaction was committed.
 */
export class CopyTasks {
  /**
   * @param copy of who shares a copy that another worker leads, its `SharedCopy.id`: claims nothing of another one,
   *   which has another snapshot
   */
  constructor(
    readonly right: WriteFence,
    readonly database: string,
    readonly copy?: string,
  ) {}

  /** Forgets the units of an earlier try and queues new ones; comparisons of that try go with them. */
  async replace(units: readonly NewCopyTask[]): Promise<void> {
    await this.right.query(
      `WITH compared AS (DELETE FROM pgmigration.comparison WHERE migration = $1 AND database = $3 AND ${holdsLease})
       DELETE FROM pgmigration.unit WHERE migration = $1 AND database = $3 AND ${holdsLease}`,
      [this.database],
    );
    await this.right.query(
      `INSERT INTO pgmigration.unit
              (migration, database, id, kind, table_schema, table_name, entry, bytes_total, rows_estimated, small,
               ready, late, condition, build)
       SELECT $1, $3, u.id, u.kind, u.schema, u."table", u.entry, u."bytesTotal", u."rowsEstimated", u.small,
              u.ready, u.late, u.condition, u.build
         FROM json_to_recordset($4::json)
           AS u (id int, kind text, schema text, "table" text, entry text, "bytesTotal" int8, "rowsEstimated" int8,
                 small bool, ready bool, late bool, condition text, build jsonb)
        WHERE ${holdsLease}
       ON CONFLICT DO NOTHING`,
      [this.database, JSON.stringify(units.map((unit, id) => ({ id, ...unit })))],
    );
    await this.right.analyze("unit");
  }

  /** The next table in the queue, or the next small ones; tables were queued largest first. None when all are taken. */
  async claimTables(session: TargetSession): Promise<CopyTask[]> {
    return this.#claim("table", session);
  }

  /** The next index of which the table is complete, or the next ones of small tables. */
  async claimIndexes(session: TargetSession): Promise<CopyTask[]> {
    return this.#claim("index", session);
  }

  async progress(id: number, bytes: number, rows: number): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.unit u SET bytes_copied = $5, rows_copied = $6
        WHERE ${ours} AND u.id = $4 AND u.claimed_by = $7 AND ${holdsLease}`,
      [this.database, id, bytes, rows, this.right.worker],
    );
  }

  /**
   * Notes the target's transaction that is about to be committed, after which these tables are copied.
   *
   * @throws TakenOverError when any of them has been given to somebody else: roll back
   */
  async committing(units: readonly CompletedCopyTask[], transaction: string): Promise<void> {
    const rows = await this.right.query(
      `UPDATE pgmigration.unit u
          SET target_xid = $5, bytes_copied = done.bytes, rows_copied = done.rows
         FROM json_to_recordset($4::json) AS done (id int, bytes int8, rows int8)
        WHERE ${ours} AND u.id = done.id AND u.state = 'loading' AND u.claimed_by = $6 AND ${holdsLease}
       RETURNING u.id`,
      [this.database, JSON.stringify(units), transaction, this.right.worker],
    );
    if (rows.length !== units.length)
      throw new TakenOverError(`tables of ${this.database} that this worker was copying were given to another one`);
  }

  /** Notes what has been done, and lets the indexes go ahead whose tables are complete now. */
  async complete(units: readonly CompletedCopyTask[], skipped?: Skipped): Promise<void> {
    await this.right.write(
      `UPDATE pgmigration.unit u
          SET state = 'completed', ended_at = clock_timestamp(), bytes_copied = done.bytes, rows_copied = done.rows,
              left_out = $6::jsonb
         FROM json_to_recordset($4::json) AS done (id int, bytes int8, rows int8)
        WHERE ${ours} AND u.id = done.id AND u.claimed_by = $5 AND u.state IN ('loading', 'completed')
          AND ${holdsLease}
       RETURNING u.id`,
      [this.database, JSON.stringify(units), this.right.worker, skipped ? JSON.stringify(skipped) : null],
    );
    await this.#letIndexesGoAhead(units.map(({ id }) => id));
  }

  async fail(id: number, error: string): Promise<void> {
    await this.right.write(
      `UPDATE pgmigration.unit u SET state = 'errored', ended_at = clock_timestamp(), error = $5
        WHERE ${ours} AND u.id = $4 AND u.claimed_by = $6 AND u.state IN ('loading', 'errored') AND ${holdsLease}
       RETURNING u.id`,
      [this.database, id, error, this.right.worker],
    );
  }

  async total(): Promise<Counts> {
    return this.#count("true");
  }

  /** What workers other than this one have completed, which never becomes less. */
  async completedByOthers(): Promise<Counts> {
    return this.#count("u.state = 'completed' AND u.claimed_by <> $4", [this.right.worker]);
  }

  async completedHere(): Promise<Counts> {
    return this.#count("u.state = 'completed' AND u.claimed_by = $4", [this.right.worker]);
  }

  /** Why a unit has failed with another worker. */
  async failureOfOthers(): Promise<string | undefined> {
    const [row] = await this.right.query<{ error: string }>(
      `SELECT u.error FROM pgmigration.unit u
        WHERE ${ours} AND u.state = 'errored' AND u.claimed_by <> $4 AND ${holdsLease} ORDER BY u.id LIMIT 1`,
      [this.database, this.right.worker],
    );
    return row?.error;
  }

  /** What the target did not take of all that was built, by whomever. */
  async skipped(): Promise<Skipped[]> {
    const rows = await this.right.query<{ skipped: Skipped }>(
      `SELECT u.left_out AS "skipped" FROM pgmigration.unit u
        WHERE ${ours} AND u.left_out IS NOT NULL AND ${holdsLease} ORDER BY u.id`,
      [this.database],
    );
    return rows.map((row) => row.skipped);
  }

  /**
   * For the lease's holder: takes back what workers have claimed that are gone, or, of `everybody`, while this one has
   * nothing in hand, whatever is claimed. A session of theirs that is still there is told to end; what it does is taken
   * back the next time, once it has ended.
   */
  async takeBack(everybody = false): Promise<Returned & { readonly sessions: number }> {
    const gone = `${ours} AND u.state = 'loading' AND ${everybody ? "$4::text IS NOT NULL" : `u.claimed_by <> $4 AND ${claimantIsGone}`}`;
    const session = `a.pid = u.session_pid AND coalesce(a.backend_start::text, u.session_since) = u.session_since`;
    const values = [this.database, this.right.worker];
    const sessions = await this.right.query(
      `SELECT pg_terminate_backend(pid) FROM (
         SELECT DISTINCT a.pid FROM pgmigration.unit u JOIN pg_stat_activity a ON ${session}
          WHERE ${gone} AND ${holdsLease}) AS open`,
      values,
    );
    const rows = await this.right.query<{ id: number; completed: boolean }>(
      `WITH decided AS (
         SELECT u.id, coalesce(txid_status(u.target_xid) = 'committed', false) AS completed
           FROM pgmigration.unit u
          WHERE ${gone} AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE ${session}) AND ${holdsLease}
          FOR UPDATE
       )
       UPDATE pgmigration.unit u
          SET state = CASE WHEN completed THEN 'completed' ELSE 'queued' END,
              ended_at = CASE WHEN completed THEN clock_timestamp() END,
              claimed_by = CASE WHEN completed THEN u.claimed_by END,
              bytes_copied = CASE WHEN completed THEN u.bytes_copied ELSE 0 END,
              rows_copied = CASE WHEN completed THEN u.rows_copied ELSE 0 END,
              target_xid = NULL, session_pid = NULL, session_since = NULL, returned = true
         FROM decided WHERE ${ours} AND u.id = decided.id
       RETURNING u.id, completed`,
      values,
    );
    const completed = rows.filter((row) => row.completed).length;
    return { sessions: sessions.length, completed, queued: rows.length - completed };
  }

  /** For the lease's holder: gives up workers that say nothing, so that {@link takeBack} finds them gone. */
  async evictSilentWorkers(silentForSeconds: number): Promise<void> {
    await endSilentMembers(this.right, this.database, silentForSeconds);
  }

  /** Has nobody claim what is not done: workers that share the copy may not know yet that it does not go on. */
  async withhold(): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.unit u SET ready = false WHERE ${ours} AND u.state <> 'completed' AND ${holdsLease}`,
      [this.database],
    );
  }

  /** Undoes {@link withhold}. */
  async release(): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.unit u SET ready = true WHERE ${ours} AND u.kind = 'table' AND ${holdsLease}`,
      [this.database],
    );
    await this.releaseIndexBuilds();
  }

  /** Lets indexes go ahead where a worker was killed between completing the table and saying so. */
  async releaseIndexBuilds(): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.unit i SET ready = true
        WHERE i.migration = $1 AND i.database = $3 AND i.kind = 'index' AND NOT i.ready AND ${holdsLease}
          AND NOT EXISTS (
                SELECT FROM pgmigration.unit t
                 WHERE t.migration = $1 AND t.database = $3 AND t.kind = 'table' AND t.state <> 'completed'
                   AND t.table_schema = i.table_schema AND t.table_name = i.table_name)`,
      [this.database],
    );
  }

  async #count(condition: string, values: readonly unknown[] = []): Promise<Counts> {
    const rows = await this.right.query<{ kind: CopyTask["kind"]; units: number }>(
      `SELECT u.kind, count(*)::float8 AS units FROM pgmigration.unit u
        WHERE ${ours} AND ${condition} AND ${holdsLease} GROUP BY u.kind`,
      [this.database, ...values],
    );
    const of = (kind: CopyTask["kind"]): number => rows.find((row) => row.kind === kind)?.units ?? 0;
    return { tables: of("table"), indexes: of("index") };
  }

  /** A statement of its own: where two processes complete the last two parts of a table, the later one sees both. */
  async #letIndexesGoAhead(ids: readonly number[]): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.unit i SET ready = true
        WHERE i.migration = $1 AND i.database = $3 AND i.kind = 'index' AND NOT i.ready AND ${holdsLease}
          AND (i.table_schema, i.table_name) IN (
                SELECT t.table_schema, t.table_name FROM pgmigration.unit t
                 WHERE t.migration = $1 AND t.database = $3 AND t.id = ANY ($4::int[]) AND t.kind = 'table')
          AND NOT EXISTS (
                SELECT FROM pgmigration.unit t
                 WHERE t.migration = $1 AND t.database = $3 AND t.kind = 'table' AND t.state <> 'completed'
                   AND t.table_schema = i.table_schema AND t.table_name = i.table_name)`,
      [this.database, ids],
    );
  }

  /**
   * The first that is ready and, where it is small, the small ones behind it. What this session has claimed already was
   * claimed by a statement whose answer was lost: it has nothing else in hand when it asks.
   */
  async #claim(kind: CopyTask["kind"], session: TargetSession): Promise<CopyTask[]> {
    const open = `${ours} AND u.kind = $4 AND u.state = 'queued' AND u.ready AND (NOT u.late OR NOT EXISTS (
      SELECT FROM pgmigration.unit t WHERE t.migration = $1 AND t.database = $3 AND t.kind = 'table' AND NOT t.late
         AND t.state <> 'completed'))`;
    const isStillShared = `($8::text IS NULL OR EXISTS (
      SELECT FROM pgmigration.database d WHERE d.migration = $1 AND d.name = $3 AND d.shared_copy ->> 'id' = $8))`;
    const rows = await this.right.query<
      Omit<CopyTask, "condition" | "build"> & { condition: string | null; build: Entry | null }
    >(
      `WITH unanswered AS (
         SELECT u.id FROM pgmigration.unit u
          WHERE ${ours} AND u.kind = $4 AND u.state = 'loading' AND u.claimed_by = $5
            AND u.session_pid = $6 AND u.session_since = $7
       ), first AS (
         SELECT u.id, u.small FROM pgmigration.unit u
          WHERE ${open} AND ${holdsLease} AND ${isStillShared} AND NOT EXISTS (SELECT FROM unanswered)
          ORDER BY u.id LIMIT 1 FOR UPDATE SKIP LOCKED
       ), others AS (
         SELECT u.id FROM pgmigration.unit u
          WHERE ${open} AND u.small AND u.id > (SELECT id FROM first WHERE small)
          ORDER BY u.id LIMIT ${mostTogether - 1} FOR UPDATE SKIP LOCKED
       )
       UPDATE pgmigration.unit
          SET state = 'loading', generation = $2, claimed_by = $5, session_pid = $6, session_since = $7,
              target_xid = NULL, started_at = clock_timestamp()
        WHERE migration = $1 AND database = $3 AND ${holdsLease}
          AND id = ANY (ARRAY (SELECT id FROM unanswered UNION ALL SELECT id FROM first UNION ALL SELECT id FROM others))
       RETURNING id, kind, table_schema AS schema, table_name AS table, condition, build, returned`,
      [this.database, kind, this.right.worker, session.pid, session.since, this.copy ?? null],
    );
    return rows
      .map((row) => ({ ...row, condition: row.condition ?? undefined, build: row.build ?? undefined }))
      .sort((one, other) => one.id - other.id);
  }
}
