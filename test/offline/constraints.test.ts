import assert from "node:assert/strict";
import { assertSameContent } from "../support/content";
import { findingsOf } from "../support/findings";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";

const shape = `
  SELECT conrelid::regclass::text || ' ' || conname || ' ' || pg_get_constraintdef(oid) AS line
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n' ORDER BY 1`;

describe("constraints", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 }, target: { major: 17 } });
  });
  after(() => lab.stop());

  const lines = async (server: Lab["source"], database: string): Promise<string[]> =>
    (await server.query<{ line: string }>(shape, { database })).map(({ line }) => line);

  it("are validated after the copy; a violated one stays NOT VALID, with a query for the rows", async () => {
    const database = await lab.database(`
      CREATE TABLE parent (a int, b int, PRIMARY KEY (a, b)); INSERT INTO parent SELECT i, i FROM generate_series(1, 100) i;
      CREATE TABLE child (x int, "y y" int, CONSTRAINT ok FOREIGN KEY (x, "y y") REFERENCES parent MATCH FULL ON DELETE SET NULL DEFERRABLE);
      INSERT INTO child SELECT i, i FROM generate_series(1, 100) i;
      CREATE TABLE orphaned (x int, "y y" int, CONSTRAINT "orphans'" FOREIGN KEY (x, "y y") REFERENCES parent);
      SET session_replication_role = replica; INSERT INTO orphaned VALUES (1000, 1), (1, 1), (NULL, 5); RESET session_replication_role;
      CREATE TABLE unasked (x int, y int, FOREIGN KEY (x, y) REFERENCES parent);
      ALTER TABLE unasked DROP CONSTRAINT unasked_x_y_fkey, ADD CONSTRAINT never FOREIGN KEY (x, y) REFERENCES parent NOT VALID;
      CREATE TABLE self (id int PRIMARY KEY, up int REFERENCES self); INSERT INTO self VALUES (1, 2), (2, 1); ALTER TABLE self ADD CONSTRAINT again UNIQUE (id) INCLUDE (up), ADD UNIQUE (id);
      CREATE FUNCTION positive(i int) RETURNS boolean LANGUAGE sql AS 'SELECT true';
      CREATE TABLE changed (i int CONSTRAINT was_right CHECK (positive(i))); INSERT INTO changed VALUES (1), (-1);
      CREATE OR REPLACE FUNCTION positive(i int) RETURNS boolean LANGUAGE sql AS 'SELECT i > 0'`);
    const resource = new Resource();
    await resource.create(lab.inputs([database]));
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    const expected = (await lines(lab.source, database)).map((line) =>
      /orphans|was_right/.test(line) ? `${line} NOT VALID` : line,
    );
    assert.deepEqual(await lines(lab.target, database), expected);
    const details = resource.status.currentSubStateDetails.validationDetails!.dbLevelValidationDetails;
    const messages = details.flatMap(({ summary }) => summary.flatMap((one) => one.messages));
    for (const [constraint, rows] of [
      ["orphans'", [{ x: 1000, "y y": 1 }]],
      ["was_right", [{ i: -1 }]],
    ] as const) {
      const found = messages.find(({ message }) => message.startsWith(`constraint ${constraint} is NOT VALID`));
      const query = /the rows: (.*); correct them/.exec(found?.remedy ?? "")![1]!;
      assert.deepEqual(await lab.target.query(query, { database }), rows);
    }
    await resource.destroy();
  });

  it("and indexes with functions that read other tables find their rows", async () => {
    // Larger tables are copied first, so that the tables that their checks and indexes read are still empty.
    const database = await lab.database(`
      CREATE TABLE country (code text PRIMARY KEY, n int); INSERT INTO country VALUES ('de', 7);
      CREATE FUNCTION known(c text) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.country WHERE code = c)';
      CREATE FUNCTION number(c text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n FROM public.country WHERE code = c';
      CREATE TABLE address (id int PRIMARY KEY, c text CONSTRAINT is_known CHECK (known(c)), filler text);
      COMMENT ON CONSTRAINT is_known ON address IS 'looks elsewhere';
      CREATE TABLE more_address (CONSTRAINT is_known CHECK (known(c))) INHERITS (address);
      INSERT INTO address SELECT i, 'de', repeat('x', 500) FROM generate_series(1, 2000) i; INSERT INTO more_address VALUES (0, 'de');
      CREATE INDEX by_number ON address (number(c));`);
    const resource = new Resource();
    await resource.create(lab.inputs([database]));
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    assert.deepEqual(await lines(lab.target, database), await lines(lab.source, database));
    const [row] = await lab.target.query<{ n: string }>(
      "SET enable_seqscan = off; SELECT count(*) AS n FROM ONLY address WHERE number(c) = 7",
      { database },
    );
    assert.equal(row!.n, "2000");
    await resource.destroy();
  });

  it("do not fail the migration through materialized views whose queries fail: these stay empty, with a finding", async () => {
    const database = await lab.database(`
      CREATE TABLE t (a int); INSERT INTO t VALUES (1); CREATE MATERIALIZED VIEW boom AS SELECT 10 / a AS q FROM t; CREATE MATERIALIZED VIEW on_boom AS SELECT * FROM boom;
      CREATE MATERIALIZED VIEW twice AS SELECT 1 / (2 - count(*)) AS q FROM t GROUP BY a; CREATE UNIQUE INDEX ON twice (q); CREATE MATERIALIZED VIEW fine AS SELECT count(*) FROM t;
      CREATE FUNCTION f() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM public.boom); END'; CREATE MATERIALIZED VIEW by_function AS SELECT f() AS n; INSERT INTO t VALUES (0), (2)`);
    const resource = new Resource();
    await resource.create(lab.inputs([database]));
    const filled = await lab.target.query("SELECT matviewname AS name FROM pg_matviews WHERE ispopulated", {
      database,
    });
    assert.deepEqual(filled, [{ name: "fine" }]);
    const details = resource.status.currentSubStateDetails.validationDetails!.dbLevelValidationDetails;
    const said = details
      .flatMap(({ summary }) => summary.flatMap((one) => one.messages))
      .map(({ object, message }) => `${object}: ${message}`);
    for (const view of [
      /boom: .*division by zero/,
      /twice: .*unique index/,
      /on_boom: .*has not been populated/,
      /by_function: .*has not been populated/,
    ])
      assert(
        said.some((text) => view.test(text)),
        `${view} in ${said.join("\n")}`,
      );
    await resource.destroy();
  });

  it("and a materialized view that finds no room on the target stays empty, and the finding says so", async () => {
    const database = await lab.database(`
      CREATE FUNCTION room() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        IF inet_server_port() = ${lab.target.login.port} THEN
          RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
        END IF;
        RETURN 1;
      END $$;
      CREATE MATERIALIZED VIEW large AS SELECT room()`);
    const resource = new Resource();
    await resource.create(lab.inputs([database]));
    const [finding] = findingsOf(resource.status, database).filter(({ message }) => message.includes("not refreshed"));
    assert.match(finding!.message, /the target lacks resources: could not extend file/);
    assert.match(
      finding!.remedy!,
      /^add the missing resources on the target, then: REFRESH MATERIALIZED VIEW "public"."large"/,
    );
    await resource.destroy();
  });

  it("of tables that refer to each other are validated side by side without a deadlock", async () => {
    const tables = Array.from({ length: 8 }, (_, i) => `t${i}`);
    const database = await lab.database(`
      ${tables.map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY); INSERT INTO ${name} SELECT generate_series(1, 2000);`).join(" ")}
      ${tables.flatMap((from) => tables.map((to) => `ALTER TABLE ${from} ADD FOREIGN KEY (id) REFERENCES ${to};`)).join(" ")}`);
    const resource = new Resource();
    await resource.create(lab.inputs([database], { indexJobs: 6 }));
    assert.deepEqual(await lines(lab.target, database), await lines(lab.source, database));
    assert.doesNotMatch(await lab.target.log(), /deadlock detected/);
    await resource.destroy();
  });
});
