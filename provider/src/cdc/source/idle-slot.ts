import type { Client } from "pg";
import { parameterCommands, type Platform } from "../../platforms/platform.js";

/**
 * After how many seconds without a reader a server invalidates a slot, at its next checkpoint; undefined for never. The
 * parameter idle_replication_slot_timeout exists from 18 on, and 0 disables it.
 */
export async function idleTimeoutSeconds(session: Client): Promise<number | undefined> {
  const { rows } = await session.query<{ seconds: number }>(
    "SELECT setting::float8 AS seconds FROM pg_catalog.pg_settings WHERE name = 'idle_replication_slot_timeout'",
  );
  return rows[0]?.seconds || undefined;
}

/** The remedy against {@link idleTimeoutSeconds}. */
export const withoutIdleTimeout = (side: "source" | "target", platform: Platform): string =>
  `on the ${side}, until the migration has ended: ${parameterCommands(platform, [{ name: "idle_replication_slot_timeout", value: "0" }])}`;
