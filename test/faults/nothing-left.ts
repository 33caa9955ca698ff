import assert from "node:assert/strict";
import type { EmbeddedServer } from "../support/servers/embedded-server";
import type { Lab } from "../support/lab";
import { until } from "../support/until";

const sessions =
  "SELECT application_name, state, query FROM pg_stat_activity WHERE application_name LIKE 'pg-migration%'";

/** Fails unless both servers are rid of all that a migration makes, once it was destroyed. */
export async function assertNothingLeft({ source, target }: Lab, database: string): Promise<void> {
  for (const server of [source, target]) {
    // Those of the operation that has just ended may take a moment to go.
    await until("no session is left", async () => (await server.query(sessions)).length === 0);
    const left = async (sql: string, at: string): Promise<void> => {
      assert.deepEqual(await server.query(sql, { database: at }), [], `PostgreSQL ${server.major}: ${sql}`);
    };
    // Temporary ones, too.
    await left("SELECT slot_name FROM pg_replication_slots", database);
    await left("SELECT pubname FROM pg_publication", database);
    await left("SELECT gid FROM pg_prepared_xacts", database);
    // A fence.
    await left("SELECT setdatabase::regclass, setconfig::text FROM pg_db_role_setting", database);
    // Progress, staging and records.
    const schemas = "SELECT nspname FROM pg_namespace WHERE nspname ~ 'pg_?migration'";
    await left(schemas, database);
    await left(schemas, "postgres");
  }
}

/** By the tables' names. */
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
