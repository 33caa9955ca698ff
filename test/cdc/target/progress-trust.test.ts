import assert from "node:assert/strict";
import type { Client } from "pg";
import { listProgress } from "../../../provider/src/cdc/target/list-progress";
import { dropProgress, initProgress, readProgress } from "../../../provider/src/cdc/target/progress";
import { freshDatabase, open } from "../../copy/pairs";
import { EmbeddedServer } from "../../support/servers/embedded-server";

/** Roles that may create schemas in a database could otherwise run code as the role that reads or drops the progress. */
describe("progress in a schema that another role made", () => {
  let server: EmbeddedServer;
  before(async () => {
    server = await EmbeddedServer.start({ major: 17 });
    await server.query("CREATE ROLE mallory");
  });
  after(() => server.stop());

  const columns = `migration text, generation int8, slot text, consistent_point pg_lsn, system_identifier text, timeline int,
    last_commit_end_lsn pg_lsn, applied_through_lsn pg_lsn`;
  const run = "RAISE 'run as a superuser'";
  const squats: Record<string, string> = {
    "a view": `CREATE FUNCTION pgmigration.f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN ${run}; END $$;
      CREATE VIEW pgmigration.progress AS SELECT pgmigration.f() AS migration`,
    "a table with a trigger": `CREATE TABLE pgmigration.progress (${columns}); INSERT INTO pgmigration.progress VALUES ('m', 1);
      CREATE FUNCTION pgmigration.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${run}; END $$;
      CREATE TRIGGER t BEFORE INSERT OR DELETE ON pgmigration.progress FOR EACH ROW EXECUTE FUNCTION pgmigration.f()`,
    "an empty schema": "",
  };
  const point = { slot: "s", consistentPoint: 1n as never, systemIdentifier: "1", timeline: 1 };

  for (const [what, sql] of Object.entries(squats))
    it(`${what}: refused, and none of its functions runs`, async () => {
      const database = await freshDatabase(
        server,
        `CREATE SCHEMA pgmigration AUTHORIZATION mallory; GRANT ALL ON SCHEMA public TO mallory`,
        `SET SESSION AUTHORIZATION mallory; ${sql}`,
      );
      const refused = /pgmigration in the database .* is not safe to use: the schema belongs to mallory/;
      const session: Client = await open(server, database);
      try {
        await assert.rejects(initProgress(session, "m", 1, point), refused);
        assert.deepEqual(await listProgress(session), []);
        if (sql === "") return;
        await assert.rejects(readProgress(session, "m"), refused);
        await assert.rejects(dropProgress(session, "m"), refused);
      } finally {
        await session.end();
      }
    });
});
