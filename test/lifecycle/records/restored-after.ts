import type { Lab } from "../../support/lab";

const tables = ["migration", "database"];

/** Runs the operation, and then restores the records of before it, as a backup of the records does. */
export async function restoredAfter({ target }: Lab, operation: () => Promise<unknown>): Promise<void> {
  for (const table of tables) await target.query(`CREATE TABLE saved_${table} AS TABLE pgmigration.${table}`);
  await operation();
  await target.query("DELETE FROM pgmigration.migration");
  for (const table of tables) await target.query(`INSERT INTO pgmigration.${table} TABLE saved_${table}`);
  for (const table of tables) await target.query(`DROP TABLE saved_${table}`);
}
