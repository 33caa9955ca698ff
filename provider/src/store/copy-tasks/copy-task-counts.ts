import { holdsLease, type WriteFence } from "../lease.js";
import { type CopyTask, type Counts, ours } from "./copy-task.js";

/** SQL expression: the process of a worker's name. A helper of several databases has several names, which end differently. */
const processOf = (worker: string): string => `substring(${worker} FROM '^(.*:.{8})')`;

/** Counts the copy tasks of one database, and the processes that execute them. */
export class CopyTaskCounts {
  constructor(
    readonly right: WriteFence,
    readonly database: string,
  ) {}

  /** The number of tables whose rows are on the target. */
  async copiedTables(): Promise<number> {
    const [row] = await this.right.query<{ tables: number }>(
      `SELECT count(*)::float8 AS tables
         FROM (SELECT FROM pgmigration.copy_task u WHERE ${ours} AND u.kind = 'table' AND ${holdsLease}
                GROUP BY u.table_schema, u.table_name
               HAVING bool_and(u.state = 'completed' AND u.postponed IS NULL)) AS one`,
      [this.database],
    );
    return row?.tables ?? 0;
  }

  async total(): Promise<Counts> {
    return this.#count("true");
  }

  /** Tasks that other workers have completed. The numbers never decrease. */
  async completedByOthers(): Promise<Counts> {
    return this.#count("u.state = 'completed' AND u.claimed_by <> $4", [this.right.worker]);
  }

  async completedHere(): Promise<Counts> {
    return this.#count("u.state = 'completed' AND u.claimed_by = $4", [this.right.worker]);
  }

  /** The number of other processes that copy tables of any database of the migration now. */
  async othersCopying(): Promise<number> {
    const [row] = await this.right.query<{ processes: number }>(
      `SELECT count(DISTINCT ${processOf("u.claimed_by")})::float8 AS processes FROM pgmigration.copy_task u
        WHERE u.migration = $1 AND u.kind = 'table' AND u.state = 'loading'
          AND ${processOf("u.claimed_by")} <> ${processOf("$3::text")} AND ${holdsLease}`,
      [this.right.worker],
    );
    return row?.processes ?? 0;
  }

  async #count(condition: string, values: readonly unknown[] = []): Promise<Counts> {
    const rows = await this.right.query<{ kind: CopyTask["kind"]; tasks: number }>(
      `SELECT u.kind, count(*)::float8 AS tasks FROM pgmigration.copy_task u
        WHERE ${ours} AND ${condition} AND ${holdsLease} GROUP BY u.kind`,
      [this.database, ...values],
    );
    const of = (kind: CopyTask["kind"]): number => rows.find((row) => row.kind === kind)?.tasks ?? 0;
    return { tables: of("table"), indexes: of("index") };
  }
}
