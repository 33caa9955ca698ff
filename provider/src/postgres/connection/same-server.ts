import { randomInt } from "node:crypto";
import type { Client } from "pg";

/**
 * Whether two sessions are on the same server: an advisory lock of the one is visible to the other. Host names do not
 * show it, and the system identifier is the same for a physical copy of a server.
 */
export async function isSameServer(one: Client, other: Client): Promise<boolean> {
  const [high, low] = [randomInt(1, 2 ** 31), randomInt(1, 2 ** 31)];
  await one.query("SELECT pg_advisory_lock($1, $2)", [high, low]);
  try {
    const { rowCount } = await other.query(
      `SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2
          AND classid = $1::int8::oid AND objid = $2::int8::oid`,
      [high, low],
    );
    return rowCount !== 0;
  } finally {
    await one.query("SELECT pg_advisory_unlock($1, $2)", [high, low]);
  }
}
