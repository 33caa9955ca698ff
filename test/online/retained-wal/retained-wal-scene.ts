import type { Lab } from "../../support/lab";

/** SQL of a database with the table `t`. */
export const tableSql =
  "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT generate_series(1, 100), 'v'";

/** Writes WAL that contains no rows. */
export async function writeWal({ source }: Lab, database: string, megabytes: number): Promise<void> {
  await source.query(
    "SELECT pg_logical_emit_message(false, 'test', repeat('x', 1024 * 1024)) FROM generate_series(1, $1)",
    { database, values: [megabytes] },
  );
}

export const slotsOf = ({ source }: Lab): Promise<Record<string, unknown>[]> =>
  source.query("SELECT slot_name FROM pg_replication_slots WHERE NOT temporary");

/** Blocks the apply of changes: another session holds a lock on `t` of the target, and `t` is updated on the source. */
export async function whileTargetIsLocked(lab: Lab, database: string, run: () => Promise<void>): Promise<void> {
  const obstacle = await lab.target.connect(database);
  try {
    await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    await lab.source.query("UPDATE t SET v = 'blocked' WHERE id = 1", { database });
    await run();
  } finally {
    await obstacle.end();
  }
}
