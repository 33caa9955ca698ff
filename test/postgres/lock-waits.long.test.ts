import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { alterTable } from "../../provider/src/postgres/locks/lock-waits";
import { EmbeddedServer } from "../support/servers/embedded-server";

describe("alterTable", () => {
  let server: EmbeddedServer;

  before(async () => {
    server = await EmbeddedServer.start({ major: 16 });
  });
  after(() => server.stop());

  it("lets applications use a table that a third session has read, and then alters it", async () => {
    await server.query("CREATE TABLE t (id int)");
    const [report, application, altering] = await Promise.all([server.connect(), server.connect(), server.connect()]);
    try {
      await report.query("BEGIN; SELECT FROM t");
      // More than the longest attempt. A longer wait fails the test.
      await application.query("SET lock_timeout = '1500ms'");
      const altered = alterTable(altering, '"public"."t"', ["ALTER TABLE t REPLICA IDENTITY FULL"]);
      const isAltered = altered.then(() => true);
      for (let id = 0; id < 50; id++) {
        await application.query("INSERT INTO t VALUES ($1)", [id]);
        await sleep(150);
      }
      assert.equal(await Promise.race([isAltered, sleep(0, false)]), false, "the report still holds its lock");
      await report.query("COMMIT");
      assert.equal(await isAltered, true);
      const [table] = await server.query("SELECT relreplident FROM pg_class WHERE relname = 't'");
      assert.deepEqual(table, { relreplident: "f" });
    } finally {
      await Promise.all([report, application, altering].map((session) => session.end()));
    }
  });
});
