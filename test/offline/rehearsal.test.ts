import assert from "node:assert/strict";
import { rehearsalDatabase } from "../../provider/src/schema/database/rehearsal-database";
import type { Endpoint } from "../../provider/src/postgres/connection/endpoint";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { CommandLine } from "../cli/command";
import { assertFinding, findingsOf } from "../support/findings";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";

/** Only a superuser may create some of these objects, and others need one of those. */
const refusedSchema = `
  CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 100) i;
  CREATE FUNCTION internal_add(int, int) RETURNS int LANGUAGE internal IMMUTABLE AS 'int4pl';
  CREATE VIEW adding AS SELECT internal_add(id, 1) AS id FROM t;
  CREATE VIEW adding_twice AS SELECT id FROM adding;
  CREATE OPERATOR CLASS other_ops FOR TYPE text USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 bttextcmp(text, text);
  CREATE OPERATOR CLASS unused_ops FOR TYPE int4 USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int4, int4);
  CREATE INDEX by_other ON t (v other_ops);
  CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
  CREATE EVENT TRIGGER watcher ON ddl_command_end EXECUTE FUNCTION watch();`;

describe("the rehearsal of the restore", () => {
  let lab: Lab;
  let command: CommandLine;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 }, target: { major: 17, extensions: ["POSTGRES_FDW"] } });
    command = await CommandLine.in(lab);
  });
  after(async () => {
    await lab.stop();
    await command.close();
  });

  const databasesOnTarget = async (): Promise<string[]> =>
    (await lab.target.query<{ name: string }>("SELECT datname AS name FROM pg_database ORDER BY 1")).map(
      ({ name }) => name,
    );

  it("reports everything that the target refuses before rows are copied, so that the next attempt succeeds", async () => {
    const database = await lab.database(refusedSchema);
    const resource = new Resource();
    try {
      const failure = await Resource.failure(resource.create(lab.inputs([database])));
      assert.match(failure, /FUNCTION public\.internal_add\(integer, integer\) was refused.*permission denied/);
      assert.match(failure, /INDEX public\.by_other was refused.*OPERATOR CLASS public\.other_ops/);
      assert.doesNotMatch(failure, /VIEW public\.adding.* was refused/, "a consequence");
      assert.doesNotMatch(failure, /probably the cause.*unused_ops/);
      assert.equal(resource.status.currentSubStateDetails.validationDetails?.status, "Failed");
      assert.ok(!(await databasesOnTarget()).some((name) => name === database || name.includes("rehearsal")));
      await lab.source.query("DROP FUNCTION internal_add CASCADE; DROP INDEX by_other", { database });
      await resource.update({});
      assert.equal(resource.status.state, "Succeeded");
    } finally {
      await resource.destroy();
    }
  });

  it("reports the refused object among hundreds of tables that it restores in several sessions", async () => {
    const database = await lab.database(`
      CREATE FUNCTION internal_add(int, int) RETURNS int LANGUAGE internal IMMUTABLE AS 'int4pl';
      DO $$ BEGIN FOR n IN 1..300 LOOP EXECUTE format('CREATE TABLE t_%s (id int)', n); END LOOP; END $$;
      CREATE VIEW adding AS SELECT internal_add(1, 1) AS id;`);
    const resource = new Resource();
    try {
      await Resource.failure(resource.create(lab.inputs([database], { migrationOption: "Validate" })));
      const refused = findingsOf(resource.status, database).filter(({ code }) => code === "PGM-433");
      assert.deepEqual(
        refused.map(({ object }) => object),
        ["FUNCTION public.internal_add(integer, integer)"],
      );
    } finally {
      await resource.destroy();
    }
  });

  it("names each refused object of tables that differ only in names", async () => {
    const database = await lab.database(`
      CREATE OPERATOR CLASS other_ops FOR TYPE text USING btree AS
        OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 bttextcmp(text, text);
      DO $$ BEGIN FOR n IN 1..3 LOOP
        EXECUTE format('CREATE TABLE t_%s (v text); CREATE INDEX i_%s ON t_%s (v other_ops)', n, n, n);
      END LOOP; END $$`);
    const resource = new Resource();
    try {
      await Resource.failure(resource.create(lab.inputs([database], { migrationOption: "Validate" })));
      const refused = findingsOf(resource.status, database).filter(({ code }) => code === "PGM-433");
      const indexes = refused.map(({ object = "" }) => object).filter((object) => object.startsWith("INDEX"));
      assert.deepEqual(indexes.sort(), ["INDEX public.i_1", "INDEX public.i_2", "INDEX public.i_3"]);
    } finally {
      await resource.destroy();
    }
  });

  it("restores the schema once if the target only lacks an object that concerns no other", async () => {
    const database = await lab.database(`
      CREATE TABLE t_1 (id int); CREATE TABLE t_2 (id int);
      CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
      CREATE EVENT TRIGGER watcher ON ddl_command_end EXECUTE FUNCTION watch()`);
    const inputs = lab.inputs([database], { migrationOption: "Validate" });
    const proxy = await CuttableProxy.to(inputs.target as Endpoint);
    const resource = new Resource();
    try {
      await resource.create({ ...inputs, target: proxy.endpoint });
      assertFinding(resource.status, /EVENT TRIGGER watcher/, database);
      const created = proxy.turns.filter(({ request }) => request.includes("CREATE DATABASE"));
      assert.equal(created.length, 1);
    } finally {
      await resource.destroy();
      await proxy.close();
    }
  });

  it("accepts a table whose generated column reads another one that differs only in its name", async () => {
    // The body of the function does not qualify the name, so that no entry mentions the second table.
    const database = await lab.database(`
      CREATE TABLE t_1 (id int); CREATE TABLE t_2 (id int);
      CREATE FUNCTION counted(int) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT count(*) FROM public.t_2';
      CREATE TABLE counting (id int, n bigint GENERATED ALWAYS AS (counted(id)) STORED)`);
    const { stdout } = await command.run(["validate", "--databases", database]);
    assert.doesNotMatch(stdout, /refused/);
  });

  it("is part of migrationOption Validate and of pg-migration validate", async () => {
    const database = await lab.database(refusedSchema);
    const resource = new Resource();
    try {
      const failure = await Resource.failure(resource.create(lab.inputs([database], { migrationOption: "Validate" })));
      assert.match(failure, /internal_add[^]*by_other/);
      const left = rehearsalDatabase(resource.inputs.migrationName as string, database);
      await lab.target.query(`CREATE DATABASE ${left} OWNER "${lab.administrator.user}"`);
    } finally {
      await resource.destroy();
    }
    assert.ok(!(await databasesOnTarget()).some((name) => name.includes("rehearsal")), "the one a killed worker left");
    const { code, stdout } = await command.run(["validate", "--databases", database]);
    assert.equal(code, 6, stdout);
    assert.match(stdout, /internal_add[^]*by_other/);
    assert.ok(!(await databasesOnTarget()).some((name) => name.includes("rehearsal")));
  });

  it("is skipped with a warning if the role may not create databases", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    await lab.target.query(`ALTER ROLE "${lab.administrator.user}" NOCREATEDB`);
    try {
      const { stdout } = await command.run(["validate", "--databases", database]);
      assert.match(stdout, /Warning.*was not tried in a temporary database/);
    } finally {
      await lab.target.query(`ALTER ROLE "${lab.administrator.user}" CREATEDB`);
    }
  });

  it("keeps the access method of tables that the migration creates, and detects roles named by rows", async () => {
    const database = await lab.database(
      `CREATE ROLE nobody_there; CREATE ACCESS METHOD other_heap TYPE TABLE HANDLER heap_tableam_handler;
       CREATE TABLE kept (id int PRIMARY KEY) USING other_heap;
       CREATE TABLE granted (id int PRIMARY KEY, a aclitem[]);
       INSERT INTO granted SELECT 1, ARRAY[makeaclitem('nobody_there'::regrole, 10, 'SELECT', false)]`,
    );
    const { stdout } = await command.run(["validate", "--databases", database]);
    assert.match(stdout, /public"?\."?granted"?\."?a"? \(aclitem nobody_there/);
    await lab.source.query("DELETE FROM granted", { database });
    const resource = new Resource();
    const inputs = lab.inputs([database]);
    await resource.create({ ...inputs, target: { ...lab.target.login, sslMode: "Disable" } });
    assert.deepEqual(
      await lab.target.query("SELECT amname FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE relname = 'kept'", {
        database,
      }),
      [{ amname: "other_heap" }],
    );
    await resource.destroy();
  });

  it("does not warn of a locale that the target spells differently", async () => {
    const database = `db_${Date.now()}`;
    await lab.source.query(`CREATE DATABASE ${database} TEMPLATE template0 LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'`);
    const { stdout } = await command.run(["validate", "--databases", database]);
    assert.doesNotMatch(stdout, /603401|does not have the locale/);
  });

  it("succeeds if the server of a foreign partition is unreachable, which findings report", async () => {
    const database = await lab.database(
      `CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1');
       CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (user 'x', password 'x');
       CREATE TABLE p (id int, v text) PARTITION BY RANGE (id);
       CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000); INSERT INTO p SELECT i, 'v' FROM generate_series(1, 500) i;
       CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM p;
       CREATE FOREIGN TABLE p2 PARTITION OF p FOR VALUES FROM (1000) TO (2000) SERVER far`,
    );
    const resource = new Resource();
    await resource.create({ ...lab.inputs([database]), target: { ...lab.target.login, sslMode: "Disable" } });
    assert.equal(resource.status.state, "Succeeded");
    assertFinding(resource.status, /counted.*not refreshed, because its query fails: could not connect/);
    const rows = await lab.target.query("SELECT reltuples AS tuples FROM pg_class WHERE relname = 'p1'", { database });
    assert.deepEqual(rows, [{ tuples: 500 }]);
    await resource.destroy();
  });

  describe("leaves its dump to the copy, which", () => {
    const simple = `
      CREATE TABLE orders (id serial PRIMARY KEY, item text DEFAULT 'none'); INSERT INTO orders SELECT FROM generate_series(1, 9);
      CREATE VIEW items AS SELECT item FROM orders`;

    const dumpEvents = async (resource: Resource): Promise<string[]> => {
      const migration = resource.inputs.migrationName;
      const sql =
        "SELECT message FROM pgmigration.event WHERE migration = $1 AND message ~ 'schema entries' ORDER BY id";
      return (await lab.target.query<{ message: string }>(sql, { values: [migration] })).map(({ message }) => message);
    };

    const columnsOnTarget = async (database: string): Promise<string[]> =>
      (
        await lab.target.query<{ name: string }>(
          "SELECT attname AS name FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 ORDER BY attnum",
          { database },
        )
      ).map(({ name }) => name);

    it("uses it while the schema is unchanged", async () => {
      const database = await lab.database(simple);
      const resource = new Resource();
      await resource.create(lab.inputs([database]));
      const events = await dumpEvents(resource);
      assert.equal(events.length, 1);
      assert.match(events[0]!, /^\d+ schema entries are the same as in the validation, which read them by pg_dump/);
      assert.deepEqual(await columnsOnTarget(database), ["id", "item"]);
      await resource.destroy();
    });

    it("reads the schema again if it has changed", async () => {
      const database = await lab.database(simple);
      const resource = new Resource();
      await resource.create({ ...lab.inputs([database]), startDataMigration: false });
      await lab.source.query("ALTER TABLE orders ADD amount numeric", { database });
      await resource.update({ startDataMigration: true });
      assert.equal(resource.status.state, "Succeeded");
      const events = await dumpEvents(resource);
      assert.equal(events.length, 1);
      assert.match(events[0]!, /^\d+ schema entries read by pg_dump/);
      assert.deepEqual(await columnsOnTarget(database), ["id", "item", "amount"]);
      await resource.destroy();
    });

    it("reads the schema again online, where the publication changes the catalogues", async () => {
      const database = await lab.database(simple);
      const resource = new Resource();
      await resource.create({ ...lab.inputs([database]), migrationMode: "Online" });
      assert.match((await dumpEvents(resource))[0]!, /^\d+ schema entries read by pg_dump/);
      await resource.destroy();
    });
  });
});
