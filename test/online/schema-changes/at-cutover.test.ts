import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { assertFinding } from "../../support/findings";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";

describe("schema changes that are found at the cutover", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("the source's schema: is checked again at the cutover LSN and after the fence, with every kind of comparison", async () => {
    const database = await lab.database(`
      CREATE TYPE side AS ENUM ('left', 'right'); CREATE TYPE pair AS (a int, b int);
      CREATE TABLE sides (id int PRIMARY KEY, s side, p pair); INSERT INTO sides VALUES (1, 'left', '(1,2)');
      CREATE MATERIALIZED VIEW refreshed AS SELECT 1 AS one`);
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online", verification: "none" }));
    const open = await lab.source.connect(database);
    await open.query("BEGIN; SELECT txid_current()");
    const refused = Resource.failure(resource.update({ triggerCutover: true }));
    await until("the cutover LSN is being determined, after the schema was applied", async () => {
      const slots = await lab.source.query("SELECT FROM pg_replication_slots WHERE temporary");
      return slots.length > 0;
    });
    await lab.source.query(
      `ALTER TYPE side RENAME VALUE 'left' TO 'x'; ALTER TYPE side RENAME VALUE 'right' TO 'left'; ALTER TYPE side RENAME VALUE 'x' TO 'right';
       ALTER TYPE pair DROP ATTRIBUTE a, ADD ATTRIBUTE a int`,
      { database },
    );
    await open.end();
    const [, statements] = /on the target, in \w+: (.*); the stream/s.exec(await refused) ?? [];
    assert.match(statements ?? "", /DROP ATTRIBUTE "a".*RENAME VALUE 'left' TO/s);
    await lab.queryTarget(database, statements!);
    const reader = await lab.target.connect(database, lab.administrator);
    await reader.query("BEGIN; SELECT FROM refreshed");
    const cutOver = resource.update({ fence: "readOnly" });
    await until("the cutover waits after its LSN", async () => {
      const waiting = await lab.target.query(
        "SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock' AND query ~ 'REFRESH'",
        { values: [database] },
      );
      return waiting.length > 0;
    });
    const escaped = await lab.source.connect(database);
    await escaped.query("SET default_transaction_read_only = off");
    await escaped.query("GRANT SELECT ON sides TO pg_monitor");
    await escaped.end();
    await reader.end();
    assert.equal((await cutOver).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const granted = "SELECT has_table_privilege('pg_monitor', 'sides', 'SELECT') AS granted";
    assert.deepEqual(await lab.queryTarget(database, granted), [{ granted: true }]);
    await resource.destroy();
  });

  it("a compression method: is left out with a finding if the target does not support it", async () => {
    const database = await lab.database(`
      CREATE TABLE packed (id int PRIMARY KEY, a text COMPRESSION pglz, b text, c text); INSERT INTO packed VALUES (1, repeat('x', 5000), 'b', 'c')`);
    // The tests' servers are built without lz4. Short values are not compressed.
    const useLz4 = (column: string): Promise<unknown> =>
      lab.source.query(
        `UPDATE pg_attribute SET attcompression = 'l' WHERE attrelid = 'packed'::regclass AND attname = '${column}'`,
        { database },
      );
    await useLz4("b");
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    assertFinding(resource.status, /public\.packed.*compression method was left out: the target does not support it/);
    await useLz4("c");
    await lab.source.query("UPDATE packed SET c = 'new'", { database });
    await resource.update({ triggerCutover: true });
    assert.equal(resource.status.state, "Succeeded");
    assertFinding(resource.status, /ALTER COLUMN c SET COMPRESSION lz4/);
    const methods = await lab.queryTarget(
      database,
      "SELECT string_agg(attname || attcompression::text, ' ' ORDER BY attnum) AS list FROM pg_attribute WHERE attrelid = 'packed'::regclass AND attcompression <> ''",
    );
    assert.deepEqual(methods, [{ list: "ap" }]);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("objects other than tables: are created at the cutover, which is refused if one cannot be created", async () => {
    const database = await lab.database(`
      CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'v');
      CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
      CREATE TRIGGER always BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fires();
      ALTER TABLE t ENABLE ALWAYS TRIGGER always;
      CREATE TABLE "Kept" (id int PRIMARY KEY, v text, w text); COMMENT ON TABLE "Kept" IS 'before'; COMMENT ON COLUMN "Kept".w IS 'before'; COMMENT ON COLUMN "Kept".id IS 'same';
      CREATE TRIGGER seldom BEFORE INSERT ON "Kept" FOR EACH ROW EXECUTE FUNCTION fires();
      CREATE RULE kept AS ON DELETE TO "Kept" DO INSTEAD NOTHING;
      CREATE TEXT SEARCH CONFIGURATION searched (COPY = simple); CREATE INDEX computed ON "Kept" ((id % 7));
      GRANT SELECT, INSERT ON "Kept" TO pg_monitor; ALTER TABLE "Kept" SET (fillfactor = 50, autovacuum_enabled = false), ALTER v SET STATISTICS 50;
      CREATE UNLOGGED TABLE fast (id int PRIMARY KEY); ALTER TABLE "Kept" ADD k int CONSTRAINT kept_k REFERENCES t; CREATE VIEW filled AS SELECT id FROM t;
      CREATE TEXT SEARCH DICTIONARY stops (TEMPLATE = simple, Accept = false); CREATE STATISTICS both_of ON v, w FROM "Kept"; CREATE PUBLICATION users FOR TABLE t`);
    for (const server of [lab.source, lab.target]) await server.query('CREATE ROLE "New Owner"');
    await lab.target.query(`GRANT "New Owner" TO ${lab.administrator.user}`);
    const resource = await lab.follow([database]);
    await lab.queryTarget(
      database,
      `COMMENT ON COLUMN "Kept".id IS 'of the target'; CREATE VIEW only_there AS SELECT 1`,
    );
    await lab.source.query(
      `COMMENT ON TABLE "Kept" IS 'it''s'; COMMENT ON COLUMN "Kept".w IS NULL; COMMENT ON FUNCTION fires() IS 'fires'; COMMENT ON CONSTRAINT "Kept_pkey" ON "Kept" IS 'key';
       ALTER TABLE "Kept" RESET (autovacuum_enabled), SET (fillfactor = 70, toast.autovacuum_enabled = false), ALTER v SET STATISTICS -1, ALTER w SET STATISTICS 200,
             ALTER v SET STORAGE EXTERNAL, ALTER v SET (n_distinct = 5), ALTER w SET COMPRESSION pglz, ENABLE ROW LEVEL SECURITY,
             ENABLE ALWAYS TRIGGER seldom, DISABLE RULE kept, OWNER TO "New Owner";
       ALTER TEXT SEARCH CONFIGURATION searched ALTER MAPPING FOR word, int WITH english_stem, simple; ALTER TEXT SEARCH CONFIGURATION searched DROP MAPPING FOR email;
       ALTER INDEX computed ALTER COLUMN 1 SET STATISTICS 77; ALTER TABLE fast SET LOGGED; ALTER TABLE t REPLICA IDENTITY USING INDEX t_pkey; CLUSTER "Kept" USING "Kept_pkey";
       ALTER TABLE "Kept" ALTER CONSTRAINT kept_k DEFERRABLE INITIALLY DEFERRED; ALTER VIEW filled ALTER id SET DEFAULT 5; ALTER TEXT SEARCH DICTIONARY stops (Accept = true);
       ALTER STATISTICS both_of SET STATISTICS 9; ALTER PUBLICATION users SET (publish = 'insert');
       ALTER INDEX "Kept_pkey" SET (fillfactor = 60); REVOKE INSERT ON "Kept" FROM pg_monitor; GRANT UPDATE (v) ON "Kept" TO pg_monitor;
       ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor;
       CREATE COLLATION "Posix" FROM "C"; CREATE TEXT SEARCH DICTIONARY plain (TEMPLATE = simple); CREATE TEXT SEARCH CONFIGURATION mine (COPY = simple);
       CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int); CREATE TYPE pair AS (a int);
       CREATE FUNCTION to_pair(int) RETURNS pair LANGUAGE sql AS 'SELECT ROW($1)::pair'; CREATE CAST (int AS pair) WITH FUNCTION to_pair(int);
       CREATE FUNCTION notified() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$; CREATE EVENT TRIGGER later_on ON ddl_command_end EXECUTE FUNCTION notified();
       CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far`,
      { database },
    );
    await lab.source.query(
      `CREATE FUNCTION doubled(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1';
       CREATE VIEW twice AS SELECT doubled(id) FROM t;
       CREATE TRIGGER too BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION fires();
       CREATE POLICY own ON t USING (true);
       CREATE VIEW taken AS SELECT v FROM t`,
      { database },
    );
    await lab.queryTarget(database, "CREATE SEQUENCE taken");
    const refused = await Resource.failure(resource.update({ triggerCutover: true }));
    assert.match(refused, /not cut over: the target lacks view public\.taken, .*drop it on the source/s);
    assert.deepEqual(resource.status.cutoverTimeline, []);
    await lab.queryTarget(database, "DROP SEQUENCE taken");
    const storage = "ALTER TABLE ONLY public.t ALTER COLUMN v SET STORAGE EXTERNAL";
    await lab.source.query(`${storage}; INSERT INTO t VALUES (2, 'after')`, { database });
    const reader = await lab.target.connect(database, lab.administrator);
    await reader.query("BEGIN; LOCK TABLE t IN ACCESS SHARE MODE");
    const isNamed = async (): Promise<boolean> =>
      (await lab.target.query<{ object: string }>("SELECT object FROM pgmigration.finding")).some(
        ({ object }) => object === storage,
      );
    const [cutOver] = await Promise.all([
      resource.update({}),
      until("a setting that waits for a reader is named", isNamed).finally(() => reader.end()),
    ]);
    assert.equal(cutOver.state, "Succeeded");
    const [row] = await lab.queryTarget(database, "SELECT count(*)::int AS n, sum(doubled)::int AS sum FROM twice");
    assert.deepEqual(row, { n: 2, sum: 6 });
    const triggers = await lab.queryTarget(database, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1");
    assert.deepEqual(triggers, [{ tgname: "always" }, { tgname: "seldom" }, { tgname: "too" }]);
    const kept = `
      SELECT obj_description('"Kept"'::regclass) AS comment, obj_description('fires()'::regprocedure) AS function, col_description('"Kept"'::regclass, 3) AS column,
             (SELECT obj_description(oid) FROM pg_constraint WHERE conname = 'Kept_pkey') AS key,
             c.reloptions AS options, (SELECT reloptions FROM pg_class WHERE oid = '"Kept_pkey"'::regclass) AS index, (SELECT reloptions FROM pg_class WHERE oid = c.reltoastrelid) AS toast,
             c.relrowsecurity, c.relforcerowsecurity,
             (SELECT json_agg(json_build_array(nullif(attstattarget, -1), attstorage, attcompression, attoptions) ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0) AS columns,
             (SELECT json_agg(json_build_array(e.privilege_type) ORDER BY 1) FROM aclexplode(relacl) AS e WHERE e.grantee = 'pg_monitor'::regrole) AS privileges,
             (SELECT json_agg(json_build_array(attname, e.privilege_type)) FROM pg_attribute, aclexplode(attacl) AS e WHERE attrelid = c.oid AND e.grantee = 'pg_monitor'::regrole) AS granted,
             (SELECT tgenabled FROM pg_trigger WHERE tgname = 'seldom') AS trigger, (SELECT ev_enabled FROM pg_rewrite WHERE rulename = 'kept') AS rule,
             pg_get_userbyid(c.relowner) AS owner, (SELECT count(*)::int FROM pg_collation WHERE collname = 'Posix') AS collations,
             (SELECT count(*)::int FROM pg_ts_dict WHERE dictname = 'plain') AS dictionaries, (SELECT count(*)::int FROM pg_ts_config WHERE cfgname = 'mine') AS configurations,
             (SELECT json_agg(json_build_array(maptokentype, mapseqno, mapdict::regdictionary) ORDER BY maptokentype, mapseqno) FROM pg_ts_config_map WHERE mapcfg = 'searched'::regconfig) AS mapping,
             (SELECT attstattarget FROM pg_attribute WHERE attrelid = 'computed'::regclass) AS computed,
             (SELECT relpersistence FROM pg_class WHERE oid = 'fast'::regclass) AS logged, (SELECT relreplident FROM pg_class WHERE oid = 't'::regclass) AS identity,
             (SELECT indisclustered FROM pg_index WHERE indexrelid = '"Kept_pkey"'::regclass) AS clustered, (SELECT condeferred FROM pg_constraint WHERE conname = 'kept_k') AS deferred,
             (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'filled'::regclass) AS filled, (SELECT dictinitoption FROM pg_ts_dict WHERE dictname = 'stops') AS options_of_stops,
             (SELECT stxstattarget FROM pg_statistic_ext) AS target, (SELECT json_agg(json_build_array(pubinsert, pubupdate)) FROM pg_publication WHERE pubname = 'users') AS notified,
             1 === 1 AS operator, (3::pair).a AS cast
        FROM pg_class c WHERE c.oid = '"Kept"'::regclass`;
    assert.deepEqual(await lab.queryTarget(database, kept), await lab.source.query(kept, { database }));
    const [own] = await lab.queryTarget(database, `SELECT col_description('"Kept"'::regclass, 1) AS comment`);
    assert.deepEqual(own, { comment: "of the target" });
    assertFinding(resource.status, /"Kept"\.id is comment of the target on the target, comment same on the source/);
    assertFinding(resource.status, /view public\.only_there exists only on the target/);
    const named = await lab.target.query<{ object: string }>(
      "SELECT object FROM pgmigration.finding WHERE database = $1 AND type = 'SchemaValidation'",
      { values: [database] },
    );
    // Objects that only a superuser may create, and privileges that only their grantor may grant.
    for (const object of [
      "SERVER away",
      "FOREIGN DATA WRAPPER far",
      "EVENT TRIGGER later_on",
      "DEFAULT ACL DEFAULT PRIVILEGES FOR TABLES",
    ])
      assert(
        named.some((finding) => finding.object === object),
        object,
      );
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("materialized views of other owners: a successor refreshes them, although the schema was compared after the cutover", async () => {
    for (const server of [lab.source, lab.target]) await server.query("CREATE ROLE painter");
    await lab.target.query(`GRANT painter TO ${lab.administrator.user}`);
    const database = await lab.database(`
      CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); GRANT SELECT ON t TO painter; GRANT CREATE ON SCHEMA public TO painter;
      CREATE TABLE owned (id int PRIMARY KEY); ALTER TABLE owned OWNER TO painter;
      CREATE MATERIALIZED VIEW refreshed AS SELECT 1 AS one;
      CREATE MATERIALIZED VIEW painted AS SELECT id FROM t; ALTER MATERIALIZED VIEW painted OWNER TO painter`);
    const resource = await lab.follow([database]);
    const { worker } = await resource.refresh();
    const readers = await Promise.all([1, 2].map(() => lab.target.connect(database, lab.administrator)));
    await readers[0]!.query("BEGIN; SELECT FROM refreshed");
    await readers[1]!.query("BEGIN; LOCK TABLE owned IN ACCESS SHARE MODE");
    const cutOver = resource.update({ triggerCutover: true });
    const waits = (query: string, age: string) => async (): Promise<boolean> => {
      const waiting = `SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock' AND query ~ $2 AND now() - query_start > $3::interval`;
      return (await lab.target.query(waiting, { values: [database, query, age] })).length > 0;
    };
    await until("the cutover waits after its LSN", waits("REFRESH", "0 s"));
    await lab.source.query("VACUUM FULL t", { database });
    await until("a comparison of the schemas waits for the end of the cutover", waits("REFRESH", "4 s"));
    await readers[0]!.end();
    await until("the handover waits", waits("OWNER TO", "0 s"));
    process.kill(worker.pid!, "SIGKILL");
    await readers[1]!.end();
    const { state } = await cutOver.catch(() => resource.update({}));
    assert.equal(state, "Succeeded");
    assert.deepEqual(await lab.queryTarget(database, "SELECT id FROM painted"), [{ id: 1 }]);
    await resource.destroy();
  });

  it("an added column that the stream needs first: is added, although another change waits for its position", async () => {
    const database = await lab.database(`
      CREATE TABLE held (id int PRIMARY KEY, v text); CREATE TABLE widened (id int PRIMARY KEY); CREATE TABLE renamed (id int PRIMARY KEY, v text);
      INSERT INTO held VALUES (1, 'a')`);
    const resource = await lab.follow([database]);
    process.kill((await resource.refresh()).worker.pid!, "SIGKILL");
    const holder = await lab.target.connect(database);
    await holder.query("BEGIN; LOCK TABLE held IN SHARE MODE");
    for (const sql of [
      "UPDATE held SET v = 'b'; ALTER TABLE widened ADD v text",
      "INSERT INTO widened VALUES (1, 'v'); ALTER TABLE renamed RENAME v TO w",
      "INSERT INTO renamed VALUES (1, 'w')",
    ])
      await lab.source.query(sql, { database });
    const cutOver = resource.update({ triggerCutover: true });
    await until("the cutover compares the schemas", async () => {
      const sessions = "SELECT FROM pg_stat_activity WHERE datname = $1 AND application_name ~ 'carry schema'";
      return (await lab.target.query(sessions, { values: [database] })).length > 0;
    });
    await holder.end();
    assert.equal((await cutOver).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
