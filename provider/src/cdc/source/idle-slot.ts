import type { Client } from "pg";

/**
 * After how many seconds without a reader a server gives a slot up, at its next checkpoint; undefined where it never
 * does (parameter idle_replication_slot_timeout, from 18 on, where 0 stands for never).
 */
export async function idleTimeoutSeconds(session: Client): Promise<number | undefined> {
  const { rows } = await session.query<{ seconds: number }>(
    "SELECT setting::float8 AS seconds FROM pg_catalog.pg_settings WHERE name = 'idle_replication_slot_timeout'",
  );
  return rows[0]?.seconds || undefined;
}

/** What keeps a server from that. */
export const withoutIdleTimeout = (side: "source" | "target"): string =>
  `on the ${side}, until the migration has ended: ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf() (on RDS, Cloud SQL and Azure: its server parameter)`;
