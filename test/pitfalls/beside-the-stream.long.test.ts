import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { assertSameContent } from "../support/content";
import { assertFinding, findingLines } from "../support/findings";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

describe("pitfalls of change data capture", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 }, target: { major: 18 } });
  });
  after(() => lab.stop());

  for (const keylessTables of ["insertsOnly", "full"] as const)
    it(`24: the source's updates of a table with a deferrable key do not fail (keylessTables: ${keylessTables})`, async () => {
      const database = await lab.database(
        "CREATE TABLE t (id int PRIMARY KEY DEFERRABLE, v int); INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)",
      );
      const resource = new Resource();
      const status = await resource.create(lab.onlineInputs([database], { keylessTables }));
      assertFinding(status, /public\.t/);
      // During the statement, two rows have the same key.
      await lab.source.query("INSERT INTO t VALUES (4, 40); UPDATE t SET id = 5 - id", { database });
      if (keylessTables === "full") {
        assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
        await assertSameContent(...lab.places(database));
      } else {
        assert.match(await Resource.failure(resource.update({ triggerCutover: true })), /"public"\."t"/);
      }
      await resource.destroy();
    });

  it("rows that triggers write on the source are replicated once: triggers that fire for replicas are enabled at cutover", async () => {
    const database = await lab.database(`
      CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE log (id serial PRIMARY KEY, what text); CREATE TABLE ruled (id int);
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.log (what) VALUES (TG_NAME || NEW.id); RETURN NEW; END $$;
      CREATE TRIGGER plain AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note();
      CREATE TRIGGER always AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE t ENABLE ALWAYS TRIGGER always;
      CREATE TRIGGER replica AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE t ENABLE REPLICA TRIGGER replica;
      CREATE RULE rule AS ON INSERT TO t DO ALSO INSERT INTO ruled VALUES (NEW.id); ALTER TABLE t ENABLE ALWAYS RULE rule;`);
    const resource = await lab.follow([database]);
    await lab.source.query("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)", { database });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const enabled = "SELECT tgname, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1";
    assert.deepEqual(
      await lab.target.query(enabled, { database }),
      await lab.source.query(enabled, { database }),
      "after the cutover the triggers are enabled as on the source",
    );
    await resource.destroy();
  });

  it("10, 21: settings of roles and databases on either side corrupt no value and end no session", async () => {
    const database = await lab.database(`
      CREATE TABLE t (id int PRIMARY KEY, f float8, d timestamptz, i interval, m money, b bytea, a text[], x xml);
      INSERT INTO t SELECT i, 0.1 + i / 3.0, now() + i * interval '1 hour', i * interval '1 day 2 hours', 12.34, '\\x00ff', '{"NULL",NULL}', '<a/><b/>' FROM generate_series(1, 1000) i`);
    const settings = [
      ["extra_float_digits", "0"],
      ["DateStyle", "'German, DMY'"],
      ["IntervalStyle", "sql_standard"],
      ["TimeZone", "'Asia/Kathmandu'"],
      ["bytea_output", "escape"],
      ["array_nulls", "off"],
      ["xmloption", "document"],
      ["statement_timeout", "'2s'"],
      ["lock_timeout", "'2s'"],
      ["idle_in_transaction_session_timeout", "'2s'"],
      ["idle_session_timeout", "'2s'"],
    ] as const;
    const everywhere = async (verb: (name: string, value: string) => string): Promise<void> => {
      const sql = (role: string): string =>
        settings.map(([name, value]) => `ALTER ROLE ${role} ${verb(name, value)}`).join("; ");
      // The sessions that change the settings must not be subject to them.
      const free = { options: "-c statement_timeout=0 -c lock_timeout=0" } as object;
      await lab.source.query(sql(lab.source.login.user), { login: free });
      await lab.target.query(sql(lab.administrator.user), { login: free });
    };
    await everywhere((name, value) => `SET ${name} = ${value}`);
    const resource = new Resource();
    try {
      const inputs = lab.onlineInputs([database]);
      await resource.create(inputs);
      await until("the stream is idle", async () => (await resource.refresh()).state === "WaitingForUserAction");
      // Longer than the timeouts, which must not end the idle sessions.
      await sleep(3000);
      const login = { options: "-c statement_timeout=0 -c lock_timeout=0 -c idle_session_timeout=0" } as object;
      await lab.source.query(
        "UPDATE t SET f = f / 7, i = -i, m = m * 3, a = a || array[NULL, 'NULL'] WHERE id % 2 = 0",
        { database, login },
      );
      assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    } finally {
      await everywhere((name) => `RESET ${name}`);
      await resource.destroy();
    }
    await assertSameContent(...lab.places(database));
  });

  it("15: the validation reports that large objects are not followed", async () => {
    const database = await lab.database("SELECT lo_from_bytea(4711, 'first'); CREATE TABLE t (id int PRIMARY KEY)");
    const resource = new Resource();
    const status = await resource.create(lab.onlineInputs([database]));
    assertFinding(status, /large object 4711/);
    await resource.destroy();
  });

  it("31: no snapshot is held on the source after the rows are copied", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const resource = await lab.follow([database]);
    const held = await lab.source.query(
      "SELECT application_name FROM pg_stat_activity WHERE datname = $1 AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state LIKE 'idle in transaction%'",
      { values: [database] },
    );
    assert.deepEqual(held, []);
    await resource.destroy();
  });

  it("sessions that wait for the copy's transactions to end are reported while they wait", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const proxy = await CuttableProxy.to({ ...lab.source.login, sslMode: "Disable" });
    const inputs = lab.onlineInputs([database], { waitFor: "started", source: proxy.endpoint });
    const held = proxy.hold(`${String(inputs.migrationName)} copy`);
    const indexer = await lab.source.connect(database);
    const resource = new Resource();
    const report = async (): Promise<string> => findingLines(await resource.refresh());
    try {
      await resource.create(inputs);
      await held.first;
      const indexed = indexer.query("CREATE INDEX CONCURRENTLY secret ON t (id)");
      await until("the index build waits for the snapshot", async () => {
        const waiting = "SELECT FROM pg_stat_activity WHERE wait_event = 'virtualxid'";
        return (await lab.source.query(waiting)).length > 0;
      });
      let text = "";
      await until("the session is reported", async () => /to end, since/.test((text = await report())));
      assert.match(
        text,
        /session \d+ on the source \(postgres, test, statement started at [^)]*Z\) waits for the copy's transactions to end, since \S+Z To do: .*pg_cancel_backend/,
      );
      assert.doesNotMatch(text, /secret/);
      held.release();
      await indexed;
      assert.equal((await resource.update({ waitFor: undefined })).state, "WaitingForUserAction");
      assert.doesNotMatch(await report(), /to end, since/);
      await resource.destroy();
    } finally {
      held.release();
      await indexer.end();
      await proxy.close();
    }
  });

  it("a read-only target, as Azure sets it when the storage is nearly full, is reported while it is read-only", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const set = async (value: "on" | "off"): Promise<void> => {
      const session = await lab.target.connect();
      await session.query("SET default_transaction_read_only = off");
      await session.query(`ALTER SYSTEM SET default_transaction_read_only = ${value}`);
      await session.query("SELECT pg_reload_conf()");
      await session.end();
    };
    const resource = new Resource();
    const isReported = async (): Promise<boolean> =>
      /default_transaction_read_only is on, so applications cannot write, but a migration does.*storage-size/.test(
        findingLines(await resource.refresh()),
      );
    try {
      await set("on");
      assert.equal((await resource.create(lab.onlineInputs([database]))).state, "WaitingForUserAction");
      assert.ok(await isReported(), "by the validation");
      await set("off");
      await until("the report has ended", async () => !(await isReported()));
      await set("on");
      await until("the monitor reports it", isReported);
    } finally {
      await set("off");
    }
    await resource.destroy();
  });

  it("40: a failed clean-up is reported with the remaining objects, and retried", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const resource = await lab.follow([database]);
    await lab.source.query(
      `CREATE FUNCTION keep() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
       CREATE EVENT TRIGGER keep ON ddl_command_start WHEN TAG IN ('DROP PUBLICATION') EXECUTE FUNCTION keep()`,
      { database },
    );
    const text = await Resource.failure(resource.update({ triggerCutover: true }));
    assert.match(text, /cannot drop slots and publications.*not now/);
    assert.match(text, /DROP PUBLICATION IF EXISTS pg_migration_/);
    assert.equal(resource.status.state, "Failed");
    await lab.source.query("DROP EVENT TRIGGER keep; DROP FUNCTION keep", { database });
    assert.equal((await resource.update({})).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("4: without session_replication_role, triggers and foreign keys are created at cutover, and a finding reports it", async () => {
    const database = await lab.database(
      `CREATE TABLE m (id int PRIMARY KEY, n int DEFAULT 0); CREATE TABLE said (id serial PRIMARY KEY, what text);
       CREATE TABLE d (id int PRIMARY KEY, m int CONSTRAINT "d ""m" REFERENCES m ON DELETE CASCADE); COMMENT ON CONSTRAINT "d ""m" ON d IS 'key';
       CREATE TABLE p (m int REFERENCES m) PARTITION BY LIST (m); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1, 2);
       CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.said (what) VALUES (TG_OP); RETURN NULL; END $$;
       CREATE TRIGGER says AFTER INSERT OR DELETE ON m FOR EACH ROW EXECUTE FUNCTION say(); COMMENT ON TRIGGER says ON m IS 'says';
       CREATE TRIGGER always AFTER INSERT ON d FOR EACH ROW EXECUTE FUNCTION say(); ALTER TABLE d ENABLE ALWAYS TRIGGER always;
       COMMENT ON TRIGGER always ON d IS 'replicas, too';
       CREATE TABLE odd (id int PRIMARY KEY); CREATE RULE twice AS ON UPDATE TO odd DO ALSO INSERT INTO said (what) VALUES ('rule');
       INSERT INTO m VALUES (1), (2); INSERT INTO d VALUES (1, 1), (2, 2); INSERT INTO odd VALUES (1); INSERT INTO p VALUES (1);
       ALTER TABLE p REPLICA IDENTITY FULL; ALTER TABLE p1 REPLICA IDENTITY FULL`,
    );
    await lab.target.query("REVOKE SET ON PARAMETER session_replication_role FROM azure_pg_admin");
    const resource = new Resource();
    try {
      const inputs = lab.onlineInputs([database]);
      const status = await resource.create(inputs);
      assertFinding(status, /may not set session_replication_role.*created at the cutover/s);
      await lab.source.query(
        `INSERT INTO m VALUES (3); INSERT INTO d VALUES (3, 3); UPDATE odd SET id = 2; DELETE FROM m WHERE id = 2;
         CREATE TABLE late (id int PRIMARY KEY, m int REFERENCES m); INSERT INTO late VALUES (1, 3);
         CREATE TRIGGER says AFTER INSERT ON late FOR EACH ROW EXECUTE FUNCTION say()`,
        { database },
      );
      await lab.source.query("INSERT INTO late VALUES (2, 1); INSERT INTO m VALUES (4)", { database });
      assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
      await assertSameContent(...lab.places(database));
      const objects = `SELECT conname::text AS name, convalidated AS valid, obj_description(oid, 'pg_constraint') AS comment
                         FROM pg_constraint WHERE contype = 'f'
                       UNION ALL SELECT tgname::text || tgenabled::text, true, obj_description(oid, 'pg_trigger') FROM pg_trigger WHERE NOT tgisinternal
                       UNION ALL SELECT rulename::text, true, NULL FROM pg_rewrite WHERE rulename = 'twice' ORDER BY 1, 2, 3`;
      const expected = await lab.source.query(objects, { database });
      assert.equal(expected.length, 8);
      assert.deepEqual(await lab.target.query(objects, { database }), expected);
      const refused = Resource.failure(
        new Resource().create({ ...inputs, migrationName: `${String(inputs.migrationName)}-rows`, dataOnly: true }),
      );
      assert.match(await refused, /its triggers would fire again for applied changes/);
    } finally {
      await lab.target.query("GRANT SET ON PARAMETER session_replication_role TO azure_pg_admin");
      await resource.destroy();
    }
  });
});
