import { withSession } from "../../postgres/connection/with-session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import type { ServerMetadata } from "../../status.js";

/** Reads version and total database size of a server. @throws RefusedError, UnreachableError */
export async function readServerMetadata(
  server: Endpoint,
  database: string,
  migration: string,
): Promise<ServerMetadata> {
  const { rows } = await withSession(server, { database, purpose: `${migration} metadata` }, (session) =>
    session.query<{ version: string; megabytes: number }>(
      `SELECT current_setting('server_version') AS version,
              (SELECT coalesce(ceil(sum(pg_database_size(oid)) / 1048576), 0)::float8 FROM pg_database
                WHERE datallowconn AND has_database_privilege(oid, 'CONNECT')) AS megabytes`,
    ),
  );
  const { version, megabytes } = rows[0]!;
  return { version, host: server.host, port: server.port, storageMb: megabytes };
}
