import { leaseIsOurs, type Lease } from "./lease.js";

/** A table to copy, or one index or constraint to build on it. */
export interface NewUnit {
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
  /** For one of several parts of a table: which of its rows. */
  readonly condition?: string | undefined;
}

export interface Unit {
  readonly id: number;
  readonly kind: "table" | "index";
  readonly schema: string;
  readonly table: string;
  readonly condition: string | undefined;
}

/** What a copied table has moved. */
export interface CopiedUnit {
  readonly id: number;
  readonly bytes: number;
  readonly rows: number;
}

/** How many small units are claimed at once: so few are repeated when a worker dies, and so few run in one transaction. */
const mostTogether = 100;

/** The units of one database's base copy, which processes claim one after another. Ids count from 0, in the given order. */
export class Units {
  constructor(
    readonly lease: Lease,
    readonly database: string,
  ) {}

  /** Forgets the units of an earlier try and queues new ones; comparisons of that try go with them. */
  async replace(units: readonly NewUnit[]): Promise<void> {
    await this.lease.query(
      `WITH compared AS (DELETE FROM pgmigration.comparison WHERE migration = $1 AND database = $3 AND ${leaseIsOurs})
       DELETE FROM pgmigration.unit WHERE migration = $1 AND database = $3 AND ${leaseIsOurs}`,
      [this.database],
    );
    await this.lease.query(
      `INSERT INTO pgmigration.unit
              (migration, database, id, kind, table_schema, table_name, entry, bytes_total, rows_estimated, small,
               ready, condition)
       SELECT $1, $3, u.id, u.kind, u.schema, u."table", u.entry, u."bytesTotal", u."rowsEstimated", u.small,
              u.ready, u.condition
         FROM json_to_recordset($4::json)
           AS u (id int, kind text, schema text, "table" text, entry text, "bytesTotal" int8, "rowsEstimated" int8,
                 small bool, ready bool, condition text)
        WHERE ${leaseIsOurs}
       ON CONFLICT DO NOTHING`,
      [this.database, JSON.stringify(units.map((unit, id) => ({ id, ...unit })))],
    );
    await this.lease.analyze("unit");
  }

  /** The next table in the queue, or the next small ones; tables were queued largest first. None when all are taken. */
  async claimTables(): Promise<Unit[]> {
    return this.#claim("table");
  }

  /** The next index of which the table is complete, or the next ones of small tables. */
  async claimIndexes(): Promise<Unit[]> {
    return this.#claim("index");
  }

  async progress(id: number, bytes: number, rows: number): Promise<void> {
    await this.lease.query(
      `UPDATE pgmigration.unit SET bytes_copied = $5, rows_copied = $6
        WHERE migration = $1 AND database = $3 AND id = $4 AND ${leaseIsOurs}`,
      [this.database, id, bytes, rows],
    );
  }

  /** Notes what has been done, and lets the indexes go ahead whose tables are complete now. */
  async complete(units: readonly CopiedUnit[]): Promise<void> {
    await this.lease.write(
      `UPDATE pgmigration.unit u
          SET state = 'completed', ended_at = clock_timestamp(), bytes_copied = done.bytes, rows_copied = done.rows
         FROM json_to_recordset($4::json) AS done (id int, bytes int8, rows int8)
        WHERE u.migration = $1 AND u.database = $3 AND u.id = done.id AND ${leaseIsOurs} RETURNING u.id`,
      [this.database, JSON.stringify(units)],
    );
    // A statement of its own: where two processes complete the last two parts of a table, the later one sees both.
    await this.lease.query(
      `UPDATE pgmigration.unit i SET ready = true
        WHERE i.migration = $1 AND i.database = $3 AND i.kind = 'index' AND NOT i.ready AND ${leaseIsOurs}
          AND (i.table_schema, i.table_name) IN (
                SELECT t.table_schema, t.table_name FROM pgmigration.unit t
                 WHERE t.migration = $1 AND t.database = $3 AND t.id = ANY ($4::int[]) AND t.kind = 'table')
          AND NOT EXISTS (
                SELECT FROM pgmigration.unit t
                 WHERE t.migration = $1 AND t.database = $3 AND t.kind = 'table' AND t.state <> 'completed'
                   AND t.table_schema = i.table_schema AND t.table_name = i.table_name)`,
      [this.database, units.map(({ id }) => id)],
    );
  }

  async fail(id: number, error: string): Promise<void> {
    await this.lease.write(
      `UPDATE pgmigration.unit SET state = 'errored', ended_at = clock_timestamp(), error = $5
        WHERE migration = $1 AND database = $3 AND id = $4 AND ${leaseIsOurs} RETURNING id`,
      [this.database, id, error],
    );
  }

  /** The first that is ready and, where it is small, the small ones behind it. */
  async #claim(kind: Unit["kind"]): Promise<Unit[]> {
    const open = `u.migration = $1 AND u.database = $3 AND u.kind = $4 AND u.state = 'queued' AND u.ready`;
    const rows = await this.lease.query<Omit<Unit, "condition"> & { condition: string | null }>(
      `WITH first AS (
         SELECT u.id, u.small FROM pgmigration.unit u
          WHERE ${open} AND ${leaseIsOurs} ORDER BY u.id LIMIT 1 FOR UPDATE SKIP LOCKED
       ), others AS (
         SELECT u.id FROM pgmigration.unit u
          WHERE ${open} AND u.small AND u.id > (SELECT id FROM first WHERE small)
          ORDER BY u.id LIMIT ${mostTogether - 1} FOR UPDATE SKIP LOCKED
       )
       UPDATE pgmigration.unit
          SET state = 'loading', generation = $2, started_at = clock_timestamp()
        WHERE migration = $1 AND database = $3
          AND id = ANY (ARRAY (SELECT id FROM first UNION ALL SELECT id FROM others))
       RETURNING id, kind, table_schema AS schema, table_name AS table, condition`,
      [this.database, kind],
    );
    return rows
      .map((row) => ({ ...row, condition: row.condition ?? undefined }))
      .sort((one, other) => one.id - other.id);
  }
}
