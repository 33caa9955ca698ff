import { randomBytes } from "node:crypto";
import { EmbeddedServer, type Login, type Major, type ServerOptions } from "./embedded-server";
import { scramVerifier } from "./scram-verifier";

export const administrator = "azureadmin";

export interface AzureLikeOptions extends Omit<ServerOptions, "major"> {
  /**
   * 13 or later. SET on a parameter can be granted since 15. In earlier versions, the administrator may not set
   * session_replication_role.
   */
  readonly major: Exclude<Major, 9.5 | 9.6 | 10 | 11 | 12>;
  /** The server parameter `azure.extensions`: extensions that may be created, in capitals. */
  readonly extensions?: readonly string[];
}

/**
 * A server like Azure Database for PostgreSQL flexible server. Its administrator is not a superuser, but a member of
 * azure_pg_admin, which owns the database `postgres`.
 */
export async function startAzureLikeServer(
  options: AzureLikeOptions,
): Promise<{ server: EmbeddedServer; administrator: Login }> {
  const server = await EmbeddedServer.start({
    ...options,
    parameters: {
      wal_level: "logical",
      "azure.extensions": (options.extensions ?? ["TABLEFUNC", "UUID-OSSP"]).join(","),
      ...options.parameters,
    },
  });
  const password = `admin-${randomBytes(8).toString("hex")}`;
  try {
    await server.query(`
      CREATE ROLE azure_pg_admin NOLOGIN;
      GRANT pg_monitor, pg_signal_backend, pg_read_all_settings, pg_read_all_stats, pg_stat_scan_tables TO azure_pg_admin;
      CREATE ROLE ${administrator} LOGIN CREATEDB CREATEROLE REPLICATION PASSWORD '${scramVerifier(password)}';
      GRANT azure_pg_admin TO ${administrator};
      ${options.major >= 15 ? "GRANT SET ON PARAMETER session_replication_role TO azure_pg_admin;" : ""}
      ALTER DATABASE postgres OWNER TO azure_pg_admin;
    `);
  } catch (error) {
    // A running server would keep the process of the tests alive.
    await server.stop();
    throw error;
  }
  return { server, administrator: { host: server.login.host, port: server.port, user: administrator, password } };
}
