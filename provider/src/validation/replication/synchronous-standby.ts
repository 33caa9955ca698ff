import type { Client } from "pg";
import type { Finding } from "../../findings.js";

/**
 * Finds a server that takes the migration's replication connection for a synchronous standby: `*` matches each
 * application_name. Commits would then wait for the other server, and would no longer wait for the real standby.
 */
export async function synchronousStandby(session: Client, side: "source" | "target"): Promise<Finding[]> {
  const { rows } = await session.query<{ names: string }>(
    "SELECT current_setting('synchronous_standby_names') AS names",
  );
  const { names } = rows[0]!;
  if (!names.includes("*")) return [];
  const other = side === "source" ? "target" : "source";
  return [
    {
      ...{ type: "ServerParametersValidation", objectType: "Instance" },
      state: side === "source" ? "Failed" : "Warning",
      code: "PGM-214",
      object: "synchronous_standby_names",
      message: `the ${side}'s synchronous_standby_names (${names}) matches the migration's connection: commits on the ${side} may wait for the ${other} instead of the standby`,
      remedy: `on the ${side}, name the standbys, as in pg_stat_replication: ALTER SYSTEM SET synchronous_standby_names = 'standby1'; SELECT pg_reload_conf()`,
    },
  ];
}
