import assert from "node:assert/strict";
import type { Client } from "pg";
import { UnreachableError } from "../../provider/src/errors";
import { parseTocEntries, type Entry } from "../../provider/src/schema/sql/toc-entries";
import { handOver } from "../../provider/src/schema/restore/hand-over";
import { refreshAsOwners } from "../../provider/src/schema/restore/materialized-views";
import { readRestoreContext, type RestoreContext } from "../../provider/src/schema/restore/restore-context";
import { restoreEntries } from "../../provider/src/schema/restore/restore";
import { dumpSchema } from "../../provider/src/schema/dump/dump";
import { EmbeddedServer } from "../support/servers/embedded-server";

describe("a restore", () => {
  it("ends with its signal's reason: a lost snapshot is not reported as canceled", async () => {
    const reason = new UnreachableError("the snapshot is gone");
    const context = { signal: AbortSignal.abort(reason) } as Partial<RestoreContext> as RestoreContext;
    const entries = [{ type: "TABLE", name: "t" } as Entry];
    await assert.rejects(restoreEntries({} as unknown as Client, entries, context), reason);
  });

  it("analyzes a materialized view as its owner, if the restoring role does not inherit the owner's privileges", async () => {
    const server = await EmbeddedServer.start({ major: 16 });
    try {
      const login = { user: "restorer", password: "restorer" };
      await server.query(
        `CREATE ROLE painter; GRANT ALL ON SCHEMA public TO painter; CREATE ROLE restorer LOGIN PASSWORD 'restorer'; GRANT painter TO restorer WITH INHERIT FALSE;
         SET ROLE painter; CREATE MATERIALIZED VIEW painted AS SELECT 1 AS one WITH NO DATA`,
      );
      const target = await server.connect("postgres", login);
      try {
        const view = { schema: "public", name: "painted" };
        assert.deepEqual(await refreshAsOwners(target, [view], await readRestoreContext(target)), []);
        const { rows } = await target.query("SELECT reltuples::int AS rows FROM pg_class WHERE relname = 'painted'");
        assert.deepEqual(rows, [{ rows: 1 }]);
      } finally {
        await target.end();
      }
    } finally {
      await server.stop();
    }
  });

  it("records that materialized views are refreshed before it creates event triggers, which would fire", async () => {
    const server = await EmbeddedServer.start({ major: 16 });
    try {
      const database = "postgres";
      await server.query(
        `CREATE MATERIALIZED VIEW filled AS SELECT 1 AS one WITH NO DATA;
         CREATE FUNCTION notified() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$; CREATE EVENT TRIGGER fires ON ddl_command_end EXECUTE FUNCTION notified()`,
      );
      const { text } = await dumpSchema({ ...server.login, sslMode: "Disable" }, database, { tool: "wasm" });
      await server.query("DROP EVENT TRIGGER fires");
      const target = await server.connect(database);
      try {
        const found = "SELECT (SELECT count(*)::int FROM pg_event_trigger) AS triggers, ispopulated FROM pg_matviews";
        const recorded: unknown[] = [];
        await handOver(target, {
          entries: parseTocEntries(text).filter(({ type }) => type === "EVENT TRIGGER"),
          refreshLater: [{ schema: "public", name: "filled" }],
          context: await readRestoreContext(target),
          report: (findings) => {
            assert.deepEqual(findings, []);
            return Promise.resolve();
          },
          onRefreshed: async () => {
            recorded.push((await target.query<{ triggers: number; ispopulated: boolean }>(found)).rows);
          },
        });
        assert.deepEqual(recorded, [[{ triggers: 0, ispopulated: true }]]);
        assert.equal((await target.query("SELECT FROM pg_event_trigger")).rowCount, 1);
      } finally {
        await target.end();
      }
    } finally {
      await server.stop();
    }
  });
});
