import assert from "node:assert/strict";
import { EmbeddedServer } from "./embedded-server";
import { leftOnServer } from "./left-on-server";

describe("the check for leaks", () => {
  for (const major of [10, 18] as const)
    it(`reports sessions, slots and publications of migrations on PostgreSQL ${major}`, async () => {
      const server = await EmbeddedServer.start({ major, parameters: { wal_level: "logical" } });
      const where = `on PostgreSQL ${major}:${server.port}`;
      try {
        assert.deepEqual(await leftOnServer(server), []);
        const session = await server.connect();
        assert.deepEqual(await leftOnServer(server), [], "a session of another application");
        await session.query("SET application_name = 'pg-migration copy'");
        assert.deepEqual(await leftOnServer(server), [`session pg-migration copy in postgres ${where}`]);
        await session.end();
        await server.query("SELECT pg_create_physical_replication_slot('s')");
        assert.deepEqual(await leftOnServer(server), [`slot s ${where}`]);
        await server.query("SELECT pg_drop_replication_slot('s')");
        await server.query("CREATE PUBLICATION pg_migration_p");
        assert.deepEqual(await leftOnServer(server), [`publication pg_migration_p in postgres ${where}`]);
        await server.query("DROP PUBLICATION pg_migration_p");
        assert.deepEqual(await leftOnServer(server), []);
        await server.halt();
        await assert.rejects(leftOnServer(server), /ECONNREFUSED/, "an answer of a server that does not run");
        await server.resume();
        assert.deepEqual(await leftOnServer(server), []);
      } finally {
        await server.stop();
      }
    });
});
