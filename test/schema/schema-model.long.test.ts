import assert from "node:assert/strict";
import pg, { escapeIdentifier, type Client } from "pg";
import { dumpSchema } from "../../provider/dist/schema/dump/dump.js";
import { allKinds } from "../../provider/src/schema/catalogue/kinds";
import { readSchema, type SchemaObject } from "../../provider/src/schema/catalogue/read-schema";
import { parseTocEntries } from "../../provider/src/schema/sql/toc-entries";
import { differencesOf } from "../../provider/src/verify/compare-schema";
import { readSourceVersion } from "../../provider/src/worker/schema-diff/source-version";
import { open } from "../copy/pairs";
import { randomSchema } from "../faults/random-schema";
import { cornerDatabases } from "../offline/corner-databases";
import { type HardDatabase, hardDatabases, rolesOfSource } from "../offline/databases";
import { nastyDatabases } from "../offline/nasty-databases";
import { Seeded, seed } from "../support/seeded";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { changes, existing } from "./schema-changes";

/** A dump does not show them. */
const invisible = ["INSERT INTO parts VALUES (2, 'x')", "ANALYZE", "REFRESH MATERIALIZED VIEW kept"];

/** By the native pg_dump if it is new enough, because the embedded one takes several times the CPU. */
const dumpOf = async (server: EmbeddedServer, database: string): Promise<string> => {
  const { text } = await dumpSchema({ ...server.login, sslMode: "Disable" }, database);
  return JSON.stringify(
    parseTocEntries(text).map(({ type, schema, name, owner, sql }) => [type, schema, name, owner, sql]),
  );
};

const modelOf = (session: Client): Promise<SchemaObject[]> => readSchema(session, allKinds, "complete");

const majors = [10, 18] as const;

for (const [index, major] of majors.entries())
  describe(`the schema model of PostgreSQL ${major}`, () => {
    const earlier = majors[index - 1] ?? 0;
    let server: EmbeddedServer;
    let session: Client;

    before(async () => {
      server = await EmbeddedServer.start({ major });
      await server.query(existing);
      session = await open(server, "postgres");
    });

    after(async () => {
      await session.end();
      await server.stop();
    });

    const look = async () => ({ model: await modelOf(session), version: await readSourceVersion(session) });

    it("differs after each change that pg_dump shows", async () => {
      let before = await look();
      let dump: string | undefined;
      const unseen: string[] = [];
      for (const { sql, from = 10, undumped = false } of changes) {
        if (from > major) continue;
        // Changes that are possible on the earlier server are dumped there.
        const isDumped = !undumped && from > earlier;
        if (isDumped) dump ??= await dumpOf(server, "postgres");
        await server.query(sql);
        const now = await look();
        if (differencesOf(before.model, now.model, { exact: true }).length === 0) unseen.push(`model: ${sql}`);
        if (!undumped && now.version === before.version) unseen.push(`version: ${sql}`);
        const dumpNow = isDumped ? await dumpOf(server, "postgres") : undefined;
        if (isDumped && dumpNow === dump) unseen.push(`dump: ${sql}`);
        before = now;
        dump = dumpNow;
      }
      assert.deepEqual(unseen, []);
    });

    it("is the same after changes of rows", async () => {
      const before = await look();
      for (const sql of invisible) await server.query(sql);
      assert.deepEqual(await look(), before);
    });
  });

/** Statements that change an object in the words of pg_identify_object. The server refuses many of them. */
const changesOf: readonly ((type: string, object: string) => string)[] = [
  (type, object) => `COMMENT ON ${type} ${object} IS 'noted'`,
  (type, object) => `DROP ${type} ${object} CASCADE`,
  (type, object) => `ALTER ${type} ${object} OWNER TO there`,
  (type, object) => `GRANT ALL ON ${type} ${object} TO g2`,
  (type, object) => `REVOKE ALL ON ${type} ${object} FROM PUBLIC`,
  (type, object) => `ALTER ${type} ${object} RENAME TO "re named"`,
  (type, object) => `ALTER ${type} ${object} SET SCHEMA elsewhere`,
  (type, object) => `ALTER ${type} ${object} RESET (fillfactor), SET (autovacuum_enabled = false)`,
];

const objectsQuery = `
  SELECT DISTINCT regexp_replace(replace(upper(i.type), '-', ' '), '^.* (COLUMN|CONSTRAINT)$', '\\1') AS type, i.identity AS object
    FROM pg_depend d CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) AS i
   WHERE d.objid >= 16384 AND coalesce(i.schema, '') !~ '^pg_' ORDER BY 1, 2`;

describe("random changes of databases that are hard to migrate", () => {
  const perDatabase = 12;
  let found = 0;
  let server: EmbeddedServer;
  before(async () => {
    server = await EmbeddedServer.start({ major: 18 });
    await server.query(rolesOfSource);
  });
  after(() => server.stop());

  /** Dumps are expensive, so only changes that the model does not show are dumped. */
  async function isDumped(database: string, change: () => Promise<unknown>): Promise<boolean> {
    const before = await dumpOf(server, database);
    await change();
    return (await dumpOf(server, database)) !== before;
  }

  const generated = [0, 1, 2].map((one) => ({
    ...{ name: `random schema ${one}`, sql: randomSchema(new Seeded(seed + one), 18).ddl },
  }));
  const databases: HardDatabase[] = [...hardDatabases, ...nastyDatabases, ...cornerDatabases, ...generated].filter(
    ({ from = 10, to = 18 }: HardDatabase) => from <= 18 && to >= 18,
  );
  for (const [index, { name: database, options = "", sql }] of databases.entries())
    it(`are found by the model if pg_dump shows them: ${database} (PG_MIGRATION_TEST_SEED=${seed})`, async () => {
      const random = new Seeded(seed + index);
      await server.query(`CREATE DATABASE ${escapeIdentifier(database)} ${options}`);
      await server.query(`CREATE SCHEMA elsewhere; ${sql}`, { database });
      const session = await open(server, database);
      try {
        let before = await modelOf(session);
        const unseen: string[] = [];
        for (let round = 0; round < perDatabase; round++) {
          const { rows } = await session.query<{ type: string; object: string }>(objectsQuery);
          if (rows.length === 0) return;
          const { type, object } = random.pick(rows);
          const change = random.pick(changesOf)(type, object);
          await session.query("BEGIN");
          if (!(await accepts(session, change))) continue;
          const now = await modelOf(session);
          if (differencesOf(before, now, { exact: true }).length > 0) {
            await session.query("COMMIT");
            found++;
          } else {
            await session.query("ROLLBACK");
            if (await isDumped(database, () => session.query(change))) unseen.push(change);
          }
          before = now;
        }
        assert.deepEqual(unseen, []);
      } finally {
        await session.end();
      }
    });

  it("were accepted by most databases", () => {
    assert(found > databases.length, `${found} changes of ${databases.length} databases`);
  });
});

/** Makes a change in the open transaction, and rolls it back if the server refuses the change. */
async function accepts(session: Client, change: string): Promise<boolean> {
  try {
    await session.query(change);
    return true;
  } catch (error) {
    await session.query("ROLLBACK");
    if (error instanceof pg.DatabaseError) return false;
    throw error;
  }
}
