import assert from "node:assert/strict";
import { connect } from "../../provider/src/postgres/connection/connect";
import { tablesWithRows } from "../../provider/src/postgres/tables-with-rows";
import { EmbeddedServer } from "../support/servers/embedded-server";

describe("the search for tables with rows", () => {
  it("finds them with at most two statements per table", async () => {
    const server = await EmbeddedServer.start({ major: 17 });
    try {
      const numbers = Array.from({ length: 25 }, (_, i) => i);
      await server.query(numbers.map((i) => `CREATE TABLE "t ${i}" (id int)`).join("; "));
      await server.query(`INSERT INTO "t 3" VALUES (1); INSERT INTO "t 24" VALUES (1)`);
      const session = await connect({ ...server.login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
      let statements = 0;
      const query = session.query.bind(session) as (...args: unknown[]) => unknown;
      session.query = ((...args: unknown[]) => {
        statements++;
        return query(...args);
      }) as unknown as typeof session.query;
      const tables = numbers.map((i) => ({ schema: "public", name: `t ${i}` }));
      const found = await tablesWithRows(session, tables).finally(() => session.end());
      assert.deepEqual(
        found.map(({ name }) => name),
        ["t 3", "t 24"],
      );
      assert.ok(statements <= 2 * tables.length, `${statements} statements`);
    } finally {
      await server.stop();
    }
  });
});
