import assert from "node:assert/strict";
import { allKinds } from "../../provider/src/schema/catalogue/kinds";
import { readSchema } from "../../provider/src/schema/catalogue/read-schema";
import { differencesOf } from "../../provider/src/verify/compare-schema";
import { open } from "../copy/pairs";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { changes, existing } from "./schema-changes";

// The long suite shows that each of these changes is one of pg_dump's output.
it("the schema model differs after each change of a database", async () => {
  const server = await EmbeddedServer.start({ major: 18 });
  try {
    await server.query(existing);
    const session = await open(server, "postgres");
    try {
      const unseen: string[] = [];
      let before = await readSchema(session, allKinds, "complete");
      for (const { sql } of changes) {
        await server.query(sql);
        const now = await readSchema(session, allKinds, "complete");
        if (differencesOf(before, now, { exact: true }).length === 0) unseen.push(sql);
        before = now;
      }
      assert.deepEqual(unseen, []);
    } finally {
      await session.end();
    }
  } finally {
    await server.stop();
  }
});
