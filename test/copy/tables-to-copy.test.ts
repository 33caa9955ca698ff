import assert from "node:assert/strict";
import { tablesToCopy } from "../../provider/src/copy/tables-to-copy";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { freshDatabase, open } from "./pairs";

describe("the tables to copy", () => {
  let server: EmbeddedServer;
  before(async () => {
    server = await EmbeddedServer.start({ major: 14 });
  });
  after(() => server.stop());

  it("are the tables with rows, largest first, including TOAST", async () => {
    const database = await freshDatabase(
      server,
      `CREATE TABLE small (id int); INSERT INTO small VALUES (1);
       CREATE TABLE toasted (v text); ALTER TABLE toasted ALTER v SET STORAGE EXTERNAL;
       INSERT INTO toasted SELECT repeat('x', 1000000) FROM generate_series(1, 5);
       CREATE TABLE wide AS SELECT repeat('x', 1000) FROM generate_series(1, 1000);
       CREATE TABLE parted (id int) PARTITION BY LIST (id);
       CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1) PARTITION BY LIST (id);
       CREATE TABLE parted_1_1 PARTITION OF parted_1 FOR VALUES IN (1);
       CREATE VIEW v AS SELECT 1`,
    );
    const session = await open(server, database);
    const names = (await tablesToCopy(session)).map(({ table }) => table.name);
    await session.end();
    assert.deepEqual(names, ["toasted", "wide", "small", "parted_1_1"]);
  });

  it("have an extension's own condition", async () => {
    const database = await freshDatabase(
      server,
      "CREATE EXTENSION hstore; CREATE TABLE settings (id int, own bool); CREATE TABLE plain (id int); CREATE TABLE mine (id int)",
      `ALTER EXTENSION hstore ADD TABLE settings; ALTER EXTENSION hstore ADD TABLE plain;
       UPDATE pg_extension SET extconfig = ARRAY['settings'::regclass, 'plain'::regclass]::oid[],
              extcondition = ARRAY['WHERE NOT own', ''] WHERE extname = 'hstore'`,
    );
    const session = await open(server, database);
    const conditions = (await tablesToCopy(session)).map(({ table, condition }) => [table.name, condition]);
    await session.end();
    assert.deepEqual(Object.fromEntries(conditions), { settings: "NOT own", plain: undefined, mine: undefined });
  });

  it("are listed while another session alters one: its size is then that of its last ANALYZE", async () => {
    const database = await freshDatabase(
      server,
      "CREATE TABLE locked AS SELECT generate_series(1, 10000) AS id; ANALYZE locked; CREATE TABLE free (id int)",
    );
    const [application, session] = await Promise.all([open(server, database), open(server, database)]);
    await application.query("BEGIN; ALTER TABLE public.locked ADD COLUMN v text");
    await session.query("SET lock_timeout = '5s'");
    const listed = await tablesToCopy(session);
    await Promise.all([application.end(), session.end()]);
    assert.deepEqual(
      listed.map(({ table }) => [table.name, table.heapBytes > 0]),
      [
        ["locked", true],
        ["free", false],
      ],
    );
  });
});
