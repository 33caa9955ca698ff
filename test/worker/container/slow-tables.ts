import type { Lab } from "../../support/lab";

/** Parameter of the target: seconds that each copied row takes. It must be 0 on the source. */
export const rowSeconds = "test.row_seconds";

/** In a string, because a check that visibly depends on a setting would be deferred until after the rows. */
const rest = `SELECT pg_sleep(current_setting(''${rowSeconds}'')::float8)`;

/**
 * SQL for tables whose rows are copied slowly, each in two parts with `splitTablesLargerThan: "64kB"`. They have no key, so
 * that rows that were copied twice would be detected.
 */
export const slowTables = (count: number): string =>
  Array.from(
    { length: count },
    (_, i) => `
      CREATE TABLE t${i} (id int, v text);
      INSERT INTO t${i} SELECT i, repeat('x', 500) FROM generate_series(1, 200) i;
      ALTER TABLE t${i} ADD CHECK (query_to_xml('${rest}', true, true, '') IS NOT NULL) NOT VALID;
      UPDATE pg_constraint SET convalidated = true WHERE conrelid = 't${i}'::regclass;`,
  ).join("");

/** Sets the seconds of each row. Tasks that start from now on take this time. */
export async function setRowSeconds({ target }: Lab, seconds: number): Promise<void> {
  await target.query(`ALTER SYSTEM SET ${rowSeconds} = ${seconds}`);
  await target.query("SELECT pg_reload_conf()");
}
