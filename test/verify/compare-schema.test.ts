import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { Client } from "pg";
import { allKinds } from "../../provider/src/schema/catalogue/kinds";
import { readSchema } from "../../provider/src/schema/catalogue/read-schema";
import { connect } from "../../provider/src/postgres/connection/connect";
import { compareCompletely, compareSchema, type SchemaDifference } from "../../provider/src/verify/compare-schema";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { endpointOf, freshDatabase, withSessions } from "../copy/pairs";

const schema = `
  CREATE SCHEMA "Other Schema";
  CREATE EXTENSION hstore;
  CREATE TYPE mood AS ENUM ('sad', 'ok');
  CREATE TYPE pair AS (a int, b text);
  CREATE TYPE span AS RANGE (subtype = float8);
  CREATE DOMAIN small AS int CHECK (VALUE < 10);
  CREATE SEQUENCE "Other Schema".numbers;
  CREATE TABLE parent (id int PRIMARY KEY, m mood, v varchar(10) NOT NULL, CONSTRAINT short CHECK (length(v) > 0));
  CREATE TABLE child (id int REFERENCES parent, s small DEFAULT 1);
  CREATE INDEX child_lower ON child ((id + 1));
  CREATE TABLE measured (at date, v int) PARTITION BY RANGE (at);
  CREATE TABLE measured_old PARTITION OF measured FOR VALUES FROM ('2000-01-01') TO ('2001-01-01');
  CREATE VIEW seen AS SELECT id FROM parent;
  CREATE MATERIALIZED VIEW kept AS SELECT id FROM parent;
  CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n * 2';
  CREATE FUNCTION twice(n text) RETURNS text LANGUAGE sql AS 'SELECT n || n';
  CREATE AGGREGATE largest(int) (SFUNC = int4larger, STYPE = int);
  CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER touched BEFORE INSERT ON parent FOR EACH ROW EXECUTE PROCEDURE touch();
  CREATE RULE quiet AS ON DELETE TO child DO INSTEAD NOTHING;
  ALTER TABLE parent ENABLE ROW LEVEL SECURITY;
  CREATE POLICY everyone ON parent USING (true);
  CREATE STATISTICS "Related" ON id, v FROM parent;
  CREATE COLLATION plain FROM "C";
  CREATE OPERATOR === (PROCEDURE = int4eq, LEFTARG = int, RIGHTARG = int);
  CREATE OPERATOR FAMILY kin USING btree;
  CREATE OPERATOR CLASS reversed FOR TYPE int USING btree FAMILY kin AS OPERATOR 1 >, FUNCTION 1 btint4cmp(int, int);
  CREATE CAST (int AS point) WITH INOUT;
  CREATE CONVERSION back FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
  CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
  CREATE TEXT SEARCH DICTIONARY stops (TEMPLATE = simple);
  CREATE FUNCTION observe() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
  CREATE EVENT TRIGGER observed ON sql_drop EXECUTE PROCEDURE observe()`;

const sequenceOptions = (increment: number): string =>
  `AS bigint INCREMENT BY ${increment} MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1 NO CYCLE`;

describe("the comparison of schemas", () => {
  let older: EmbeddedServer;
  let newer: EmbeddedServer;
  let source: string;
  let unchanged: string;
  before(async () => {
    [older, newer] = await Promise.all([EmbeddedServer.start({ major: 10 }), EmbeddedServer.start({ major: 18 })]);
    [source, unchanged] = await Promise.all([
      freshDatabase(older, schema),
      freshDatabase(newer, `GRANT CREATE ON SCHEMA public TO PUBLIC; ${schema}`),
    ]);
  });
  after(() => Promise.all([older.stop(), newer.stop()]));

  const differences = async (
    change: string,
    compare: (one: Client, other: Client) => Promise<SchemaDifference[]> = compareSchema,
  ): Promise<string[]> => {
    const target = `db_${randomBytes(5).toString("hex")}`;
    await newer.query(`CREATE DATABASE ${target} TEMPLATE ${unchanged}`);
    await newer.query(change, { database: target });
    const found = await withSessions([older, source], [newer, target], compare);
    return found.map(({ kind, name, source, target, onlyOnTarget }) =>
      onlyOnTarget
        ? `only on the target: ${kind} ${name}`
        : source === undefined
          ? `${kind} ${name}`
          : `${kind} ${name}: ${source} -> ${target!}`,
    );
  };

  const changedAttributes = async (database: string, other: string): Promise<unknown[]> => {
    const found = await withSessions([newer, database], [newer, other], (one, two) =>
      compareCompletely(one, two, { roles: new Map() }),
    );
    return found.map(({ kind, name, attributes }) => [kind, name, attributes]);
  };

  it("finds no differences between versions with the same definitions", async () => {
    assert.deepEqual(await differences("SELECT"), []);
    assert.deepEqual(await differences("CREATE TABLE more (id int)"), []);
  });

  it("reports each kind of object that the target lacks or has in another form", async () => {
    for (const [change, ...expected] of [
      ["DROP EXTENSION hstore", "extension hstore"],
      ['DROP SCHEMA "Other Schema" CASCADE', 'schema "Other Schema"', 'sequence "Other Schema".numbers'],
      ["ALTER TYPE mood ADD VALUE 'fine'", "type public.mood: 'sad', 'ok' -> 'sad', 'ok', 'fine'"],
      ["ALTER TYPE pair ALTER ATTRIBUTE b TYPE name", "type public.pair: a integer, b text -> a integer, b name"],
      ["DROP TYPE span", "type public.span"],
      ["ALTER TABLE child DROP s", "column public.child.s"],
      [
        "DROP POLICY everyone ON parent; ALTER TABLE parent ALTER v TYPE varchar(20), ALTER v DROP NOT NULL",
        "column public.parent.v: character varying(10), not nullable -> character varying(20), nullable",
        "policy public.parent.everyone",
      ],
      ["DROP INDEX child_lower", "index public.child_lower"],
      ["ALTER TABLE parent DROP CONSTRAINT short", "constraint public.parent.short"],
      [
        "ALTER TABLE child DROP CONSTRAINT child_id_fkey, ADD CONSTRAINT child_id_fkey FOREIGN KEY (id) REFERENCES parent NOT VALID",
        "constraint public.child.child_id_fkey: valid -> not valid",
      ],
      [
        "DROP TABLE measured_old",
        "column public.measured_old.at",
        "column public.measured_old.v",
        "partition public.measured_old of public.measured",
        "table public.measured_old",
      ],
      ["DROP VIEW seen; DROP MATERIALIZED VIEW kept", "materialized view public.kept", "view public.seen"],
      ["DROP FUNCTION twice(text)", "function public.twice(n text)"],
      ["DROP AGGREGATE largest(int)", "aggregate public.largest(integer)"],
      ["ALTER TABLE parent DISABLE TRIGGER touched", "trigger public.parent.touched: enabled -> not enabled"],
      ["DROP RULE quiet ON child", "rule public.child.quiet"],
      ['DROP STATISTICS "Related"', 'statistics public."Related"'],
      ["ALTER DOMAIN small DROP CONSTRAINT small_check", "domain constraint public.small.small_check"],
      [
        'ALTER SEQUENCE "Other Schema".numbers INCREMENT 5',
        `sequence "Other Schema".numbers: ${sequenceOptions(1)} -> ${sequenceOptions(5)}`,
      ],
      ["DROP COLLATION plain; DROP CONVERSION back", "collation public.plain", "conversion public.back"],
      ["DROP OPERATOR === (int, int)", "operator public.===(integer,integer)"],
      ["DROP OPERATOR CLASS reversed USING btree", "operator class public.reversed USING btree"],
      [
        "DROP OPERATOR FAMILY kin USING btree CASCADE",
        "operator class public.reversed USING btree",
        "operator family public.kin USING btree",
      ],
      ["DROP CAST (int AS point)", "cast (integer AS point)"],
      [
        "DROP TEXT SEARCH CONFIGURATION words; DROP TEXT SEARCH DICTIONARY stops",
        "text search configuration public.words",
        "text search dictionary public.stops",
      ],
      ["DROP EVENT TRIGGER observed", "event trigger observed"],
    ] as [string, ...string[]][])
      assert.deepEqual(await differences(change), expected, change);
  });

  it("reports each difference in definition, owner, privileges, comment and settings, and what only the target has", async () => {
    const roles = new Map([["postgres", { mayBecome: true }]]);
    const completely = (one: Client, other: Client) => compareCompletely(one, other, { roles });
    await newer.query("CREATE ROLE someone");
    for (const [change, ...expected] of [
      ["SELECT"],
      ["CREATE TABLE more ()", "only on the target: table public.more"],
      ["ALTER TABLE child OWNER TO someone", "table public.child: owner postgres -> owner someone"],
      ["GRANT SELECT ON child TO someone", "table public.child: privileges none -> privileges someone: SELECT"],
      ["COMMENT ON TABLE child IS $$the shop's$$", "table public.child: comment none -> comment the shop's"],
      ["COMMENT ON COLUMN child.s IS 'new'", "column public.child.s: comment none -> comment new"],
      [
        "ALTER TABLE child SET (fillfactor = 50)",
        "table public.child: storage parameters none -> storage parameters fillfactor=50",
      ],
      ["ALTER TABLE child ALTER s SET DEFAULT 2", "column public.child.s: default 1 -> default 2"],
      [
        "CREATE OR REPLACE VIEW seen AS SELECT id FROM parent WHERE id > 0",
        "view public.seen: definition  SELECT parent.id\n   FROM public.parent; -> definition  SELECT id\n   FROM public.parent\n  WHERE (id > 0);",
      ],
      [
        "ALTER TABLE parent DROP CONSTRAINT short, ADD CONSTRAINT short CHECK (length(v) > 1)",
        "constraint public.parent.short: definition CHECK ((length((v)::text) > 0)) -> definition CHECK ((length((v)::text) > 1))",
      ],
      [
        "ALTER OPERATOR FAMILY kin USING btree ADD OPERATOR 1 < (int, int8)",
        "operator family public.kin USING btree: members none -> members OPERATOR 1 <(integer,bigint) ",
      ],
      [
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
        "only on the target: default privileges FOR ROLE postgres ON TABLES",
      ],
    ] as [string, ...string[]][])
      assert.deepEqual(await differences(change, completely), expected, change);
  });

  it("reports a difference in free text that is no SQL", async () => {
    const database = await freshDatabase(newer, "CREATE TABLE shop (); COMMENT ON TABLE shop IS $$the shop's table$$");
    const other = await freshDatabase(newer, "CREATE TABLE shop (); COMMENT ON TABLE shop IS 'a \"table /*'");
    const roles = new Map([["postgres", { mayBecome: true }]]);
    const found = await withSessions([newer, database], [newer, other], (one, two) =>
      compareCompletely(one, two, { roles }),
    );
    assert.deepEqual(
      found.map(({ name, source, target }) => [name, source, target]),
      [["public.shop", "comment the shop's table", 'comment a "table /*']],
    );
  });

  it("reports a collation of the same name in another schema", async () => {
    const collations = `CREATE SCHEMA one; CREATE SCHEMA two; CREATE COLLATION one.c FROM "C"; CREATE COLLATION two.c FROM "C"`;
    const [database, other] = [
      await freshDatabase(newer, `${collations}; CREATE TABLE t (a text COLLATE one.c)`),
      await freshDatabase(newer, `${collations}; CREATE TABLE t (a text COLLATE two.c)`),
    ];
    const roles = new Map([["postgres", { mayBecome: true }]]);
    const found = await withSessions([newer, database], [newer, other], (one, two) =>
      compareCompletely(one, two, { roles }),
    );
    assert.deepEqual(
      found.map(({ name, source, target }) => [name, source, target]),
      [["public.t.a", "collation one.c", "collation two.c"]],
    );
  });

  it("names changed settings of a database without their values", async () => {
    const [database, other] = [await freshDatabase(newer), await freshDatabase(newer)];
    await newer.query(`ALTER DATABASE ${database} SET app.jwt_secret = 'hidden'`);
    const roles = new Map([["postgres", { mayBecome: true }]]);
    const found = await withSessions([newer, database], [newer, other], (one, two) =>
      compareCompletely(one, two, { roles: new Map([...roles, ["PUBLIC", { mayBecome: false }]]) }),
    );
    assert.deepEqual(
      found.map(({ name, source, target }) => [name, source, target]),
      [["database", "settings PUBLIC: SET app.jwt_secret", "settings none"]],
    );
  });

  it("finds a comment on the rule that a view is made of", async () => {
    const view = "CREATE VIEW one AS SELECT 1 AS v";
    const [plain, commented] = [await freshDatabase(newer, view), await freshDatabase(newer, view)];
    await newer.query(`COMMENT ON RULE "_RETURN" ON one IS 'noted'`, { database: commented });
    assert.deepEqual(await changedAttributes(plain, commented), [["view", "public.one", ["comment of its rule"]]]);
  });

  it("finds a comment on the constraint that a partition has from its parent", async () => {
    const tables = `CREATE TABLE whole (id int PRIMARY KEY) PARTITION BY RANGE (id);
      CREATE TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (10)`;
    const [plain, commented] = [await freshDatabase(newer, tables), await freshDatabase(newer, tables)];
    await newer.query("COMMENT ON CONSTRAINT part_pkey ON part IS 'noted'", { database: commented });
    for (const [one, other] of [
      [plain, commented],
      [commented, plain],
    ] as const)
      assert.deepEqual(await changedAttributes(one, other), [["constraint", "public.part.part_pkey", ["comment"]]]);
  });

  it("names changed settings of a function without their values", async () => {
    const [database, other] = [await freshDatabase(newer), await freshDatabase(newer)];
    const [create, alter] = [
      "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
      "ALTER FUNCTION f() SET app",
    ];
    await newer.query(`${create}; ${alter}.jwt_secret = 'secret value'; ${alter}.a = 'secret value'`, { database });
    await newer.query(create, { database: other });
    const found = await withSessions([newer, database], [newer, other], (one, two) =>
      compareCompletely(one, two, { roles: new Map([["postgres", { mayBecome: true }]]) }),
    );
    const settings = /definition .* SET "app.jwt_secret" TO '<hidden value>'\n SET "app.a" TO '<hidden value>'\nAS/s;
    assert.match(found[0]!.source!, settings);
    assert.doesNotMatch(JSON.stringify(found), /secret value/);
  });

  it("ignores that a function is not SECURITY DEFINER if the migration cannot give it to its owner", async () => {
    await newer.query("CREATE ROLE away");
    const create = ["f", "g"].map((name) => `CREATE FUNCTION ${name}() RETURNS int LANGUAGE sql AS 'SELECT 1'`);
    const both = create.join("; ");
    const database = await freshDatabase(
      newer,
      `${both}; ALTER FUNCTION f() SECURITY DEFINER; ALTER FUNCTION f() OWNER TO away; ALTER FUNCTION g() OWNER TO away`,
    );
    const other = await freshDatabase(newer, `${both}; ALTER FUNCTION g() SECURITY DEFINER`);
    const compare = async (away?: { mayBecome: boolean }): Promise<unknown[]> => {
      const roles = new Map([["postgres", { mayBecome: true }]]);
      if (away) roles.set("away", away);
      const found = await withSessions([newer, database], [newer, other], (one, two) =>
        compareCompletely(one, two, { roles }),
      );
      return found.map(({ name, attributes }) => [name, ...attributes!]);
    };
    const unexpected = [["public.g()", "security definer"]];
    assert.deepEqual(await compare(), unexpected);
    assert.deepEqual(await compare({ mayBecome: false }), unexpected);
    assert.deepEqual(await compare({ mayBecome: true }), [
      ["public.f()", "owner", "security definer"],
      ["public.g()", "owner", "security definer"],
    ]);
  });

  it("ignores user mappings and privileges of roles that the target lacks", async () => {
    const server = "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far";
    await newer.query("CREATE ROLE elsewhere");
    const database = await freshDatabase(
      newer,
      `${server}; CREATE USER MAPPING FOR elsewhere SERVER away; GRANT SELECT ON pg_authid TO elsewhere`,
    );
    const other = await freshDatabase(newer, server);
    const roles = new Map([["postgres", { mayBecome: true }]]);
    const compare = (one: Client, two: Client) => compareCompletely(one, two, { roles });
    assert.deepEqual(await withSessions([newer, database], [newer, other], compare), []);
  });
});

for (const major of [10, 14, 17, 18] as const)
  it(`an ordinary role reads the complete schema of version ${major}`, async () => {
    const server = await EmbeddedServer.start({ major });
    try {
      const modes = major >= 14 ? "CREATE PROCEDURE act(IN a int, INOUT b text) LANGUAGE sql AS 'SELECT $2'" : "";
      const further = `
        CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far OPTIONS (host 'h');
        CREATE USER MAPPING FOR postgres SERVER away OPTIONS (password 'p'); CREATE PUBLICATION news FOR ALL TABLES;
        CREATE SUBSCRIPTION own CONNECTION 'dbname=x' PUBLICATION news WITH (connect = false);
        SELECT lo_create(7); COMMENT ON LARGE OBJECT 7 IS 'seven'; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
        GRANT SELECT ON pg_authid TO PUBLIC; GRANT USAGE ON LANGUAGE sql TO ordinary; ${modes}`;
      await server.query("CREATE ROLE ordinary LOGIN PASSWORD 'ordinary'");
      const database = await freshDatabase(server, schema);
      for (const statement of further.split(";")) if (statement.trim()) await server.query(statement, { database });
      const endpoint = { ...endpointOf(server), user: "ordinary", password: "ordinary" };
      const session = await connect(endpoint, { database, purpose: "test" });
      try {
        const objects = await readSchema(session, allKinds, "complete");
        const kinds = new Set(objects.map(({ kind }) => kind));
        for (const kind of [
          "user mapping",
          "large objects",
          "language",
          "event trigger",
          "properties of the",
          "publication",
        ])
          assert.ok(kinds.has(kind), kind);
        assert.equal(kinds.has("subscription"), major >= 14);
        if (major >= 14) {
          const procedure = objects.find(({ kind }) => kind === "procedure");
          assert.equal(procedure?.identity, "public.act(a integer, INOUT b text)");
          assert.match(
            String(procedure.attributes.definition),
            /PROCEDURE public\.act\(a integer, INOUT b text\)\n LANGUAGE sql/,
          );
        }
      } finally {
        await session.end();
      }
    } finally {
      await server.stop();
    }
  }).timeout(60_000);
