import assert from "node:assert/strict";
import type { Client } from "pg";
import type { Finding } from "../../provider/src/findings";
import { compareSchemas } from "../../provider/src/worker/comparison/compare-database";
import type { Work } from "../../provider/src/worker/context/work";
import { freshDatabase, open, withSessions } from "../copy/pairs";
import { EmbeddedServer } from "../support/servers/embedded-server";

/** Shortens the waits, so that the test need not last minutes. */
function withShortWaits(session: Client): Client {
  const query = session.query.bind(session) as (text: string) => unknown;
  session.query = ((text: string) => query(text.replace("'60s'", "'100ms'"))) as unknown as Client["query"];
  return session;
}

it("reports a lock that prevents the comparison of schemas, and does not fail", async () => {
  const server = await EmbeddedServer.start({ major: 17 });
  try {
    const schema = "CREATE TABLE t (id int); CREATE VIEW v AS SELECT id FROM t";
    const [one, other] = [await freshDatabase(server, schema), await freshDatabase(server, schema)];
    const found: Finding[] = [];
    const journal = {
      findings: (all: readonly Finding[]) => Promise.resolve(void found.push(...all)),
      event: () => Promise.resolve(),
    };
    const work = { journal } as unknown as Work;
    const compare = (source: Client, target: Client) =>
      compareSchemas(work, {
        ...{ database: "app", source: withShortWaits(source), target: withShortWaits(target) },
        roles: new Map([["postgres", { mayBecome: true }]]),
      });
    const holder = await open(server, other);
    try {
      await holder.query("BEGIN; LOCK TABLE public.v, public.t IN ACCESS EXCLUSIVE MODE");
      await withSessions([server, one], [server, other], compare);
    } finally {
      await holder.end();
    }
    assert.deepEqual(
      found.map(({ code, object }) => [code, object]),
      [["PGM-440", "app"]],
    );
    assert.match(found[0]!.message, /lock timeout/);
  } finally {
    await server.stop();
  }
}).timeout(20_000);
