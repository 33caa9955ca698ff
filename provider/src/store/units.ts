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
              (migration, database, id, kind, table_schema, table_name, entry, bytes_total, rows_estimated, condition)
       SELECT $1, $3, u.id, u.kind, u.schema, u."table", u.entry, u."bytesTotal", u."rowsEstimated", u.condition
         FROM json_to_recordset($4::json)
           AS u (id int, kind text, schema text, "table" text, entry text, "bytesTotal" int8, "rowsEstimated" int8,
                 condition text)
        WHERE ${leaseIsOurs}
       ON CONFLICT DO NOTHING`,
      [this.database, JSON.stringify(units.map((unit, id) => ({ id, ...unit })))],
    );
  }

  /** The next table in the queue; tables were queued largest first. */
  async claimTable(): Promise<Unit | undefined> {
    return this.#claim("u.kind = 'table'");
  }

  /** The next index of which the table is complete. */
  async claimIndex(): Promise<Unit | undefined> {
    return this.#claim(
      `u.kind = 'index' AND NOT EXISTS (
         SELECT FROM pgmigration.unit t
          WHERE t.migration = u.migration AND t.database = u.database AND t.kind = 'table'
            AND t.table_schema = u.table_schema AND t.table_name = u.table_name AND t.state <> 'completed')`,
    );
  }

  async progress(id: number, bytes: number, rows: number): Promise<void> {
    await this.lease.query(
      `UPDATE pgmigration.unit SET bytes_copied = $5, rows_copied = $6
        WHERE migration = $1 AND database = $3 AND id = $4 AND ${leaseIsOurs}`,
      [this.database, id, bytes, rows],
    );
  }

  async complete(id: number, result: { readonly bytes: number; readonly rows: number }): Promise<void> {
    await this.lease.write(
      `UPDATE pgmigration.unit
          SET state = 'completed', ended_at = clock_timestamp(), bytes_copied = $5, rows_copied = $6
        WHERE migration = $1 AND database = $3 AND id = $4 AND ${leaseIsOurs} RETURNING id`,
      [this.database, id, result.bytes, result.rows],
    );
  }

  async fail(id: number, error: string): Promise<void> {
    await this.lease.write(
      `UPDATE pgmigration.unit SET state = 'errored', ended_at = clock_timestamp(), error = $5
        WHERE migration = $1 AND database = $3 AND id = $4 AND ${leaseIsOurs} RETURNING id`,
      [this.database, id, error],
    );
  }

  async #claim(condition: string): Promise<Unit | undefined> {
    const [row] = await this.lease.query<Omit<Unit, "condition"> & { condition: string | null }>(
      `UPDATE pgmigration.unit
          SET state = 'loading', generation = $2, started_at = clock_timestamp()
        WHERE (migration, database, id) = (
                SELECT u.migration, u.database, u.id FROM pgmigration.unit u
                 WHERE u.migration = $1 AND u.database = $3 AND u.state = 'queued' AND ${condition} AND ${leaseIsOurs}
                 ORDER BY u.id LIMIT 1 FOR UPDATE SKIP LOCKED)
       RETURNING id, kind, table_schema AS schema, table_name AS table, condition`,
      [this.database],
    );
    return row && { ...row, condition: row.condition ?? undefined };
  }
}
