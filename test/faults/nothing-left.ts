import assert from "node:assert/strict";
import type { EmbeddedServer } from "../support/servers/embedded-server";
import type { Lab } from "../support/lab";
import { until } from "../support/until";

const sessions =
  "SELECT application_name, state, query FROM pg_stat_activity WHERE application_name LIKE 'pg-migration%'";

/** Fails unless both servers are free of all objects of a destroyed migration. */
export async function assertNothingLeft({ source, target }: Lab, database: string): Promise<void> {
  for (const server of [source, target]) {
    // Sessions of the last operation may take a moment to end.
    await until("all sessions have ended", async () => (await server.query(sessions)).length === 0);
    const left = async (sql: string, at: string): Promise<void> => {
      assert.deepEqual(await server.query(sql, { database: at }), [], `PostgreSQL ${server.major}: ${sql}`);
    };
    // Including temporary slots.
    await left("SELECT slot_name FROM pg_replication_slots", database);
    await left("SELECT pubname FROM pg_publication", database);
    await left("SELECT gid FROM pg_prepared_xacts", database);
    // The fence is a setting of the database.
    await left("SELECT setdatabase::regclass, setconfig::text FROM pg_db_role_setting", database);
    // Schemas of progress, staging tables and records.
    const schemas = "SELECT nspname FROM pg_namespace WHERE nspname ~ 'pg_?migration'";
    await left(schemas, database);
    await left(schemas, "postgres");
  }
}

/** Replica identities by table name. */
export async function replicaIdentities(
  server: EmbeddedServer,
  database: string,
): Promise<ReadonlyMap<string, string>> {
  const rows = await server.query<{ name: string; identity: string }>(
    `SELECT oid::regclass::text AS name, relreplident::text AS identity
       FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace`,
    { database },
  );
  return new Map(rows.map(({ name, identity }) => [name, identity]));
}
