import assert from "node:assert/strict";
import type { Entry } from "../../provider/src/schema/sql/toc-entries";
import { planRestore } from "../../provider/src/schema/plan/restore-plan";

let lastId = 0;

const entry = (type: string, name: string, sql: string): Entry => ({
  id: ++lastId,
  classOid: 0,
  oid: 0,
  dependencies: [],
  name,
  type,
  schema: "s",
  owner: "o",
  tablespace: undefined,
  accessMethod: "heap",
  sql,
});

const names = (entries: readonly Entry[]): string[] => entries.map(({ type, name }) => `${type} ${name}`);

describe("the plan of a restore", () => {
  const plan = planRestore([
    entry("SCHEMA", "s", "CREATE SCHEMA s;\n\nALTER SCHEMA s OWNER TO o;"),
    entry("SEQUENCE", "q", "CREATE SEQUENCE s.q;\n\nALTER TABLE s.q OWNER TO o;"),
    entry(
      "TABLE",
      "t",
      'CREATE TABLE s.t (a integer, "PARTITION BY" text);\n\nALTER TABLE ONLY s.t FORCE ROW LEVEL SECURITY;\n\nALTER TABLE s.t OWNER TO o;',
    ),
    entry("TABLE", "p", "CREATE TABLE s.p (a integer)\nPARTITION BY RANGE (a);"),
    entry("TABLE", "p1", "CREATE TABLE s.p1 (a integer);"),
    entry("TABLE ATTACH", "p1", "ALTER TABLE ONLY s.p ATTACH PARTITION s.p1 DEFAULT;"),
    entry("MATERIALIZED VIEW", "m", "CREATE MATERIALIZED VIEW s.m AS SELECT 1 WITH NO DATA;"),
    entry("CONSTRAINT", "p p_key", "ALTER TABLE ONLY s.p ADD CONSTRAINT p_key PRIMARY KEY (a);"),
    entry("CONSTRAINT", "p1 p1_key", "ALTER TABLE ONLY s.p1 ADD CONSTRAINT p1_key PRIMARY KEY (a);"),
    entry("INDEX", "ON", 'CREATE INDEX "ON" ON s.t USING btree (a);'),
    entry("INDEX", "m_i", "CREATE INDEX m_i ON s.m USING btree (a);"),
    entry("FUNCTION", "late(s.v)", "CREATE FUNCTION s.late(s.v) RETURNS integer LANGUAGE sql AS 'SELECT 1';"),
    entry("INDEX", "bound", "CREATE INDEX bound ON s.t USING btree (s.late(a));"),
    entry("STATISTICS", "st", "CREATE STATISTICS s.st ON a, (EXTRACT(year FROM b)) FROM s.t;"),
    entry("INDEX ATTACH", "p1_key", "ALTER INDEX s.p_key ATTACH PARTITION s.p1_key;"),
    entry("MATERIALIZED VIEW", "n", "CREATE MATERIALIZED VIEW s.n AS SELECT 2 WITH NO DATA;"),
    entry(
      "PUBLICATION",
      "pg_migration_x",
      "CREATE PUBLICATION pg_migration_x;\n\nALTER PUBLICATION pg_migration_x OWNER TO o;",
    ),
    entry("COMMENT", "PUBLICATION pg_migration_x", "COMMENT ON PUBLICATION pg_migration_x IS 'pg_migration: full';"),
    entry("PUBLICATION TABLE", "pg_migration_x t", "ALTER PUBLICATION pg_migration_x ADD TABLE ONLY s.t;"),
    entry("EVENT TRIGGER", "e", "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION s.f();"),
    entry(
      "TRIGGER",
      "t always",
      'CREATE TRIGGER always AFTER INSERT ON s."t\nu" EXECUTE FUNCTION s.f();\n\nALTER TABLE s."t\nu" ENABLE ALWAYS TRIGGER always;',
    ),
    entry("ROW SECURITY", "t", "ALTER TABLE s.t ENABLE ROW LEVEL SECURITY;"),
    entry("ACL", "TABLE t", "GRANT SELECT ON TABLE s.t TO r;"),
  ]);
  it("puts the same entries before the data as the dump", () => {
    assert.deepEqual(names(plan.before), [
      "SCHEMA s",
      "SEQUENCE q",
      "TABLE t",
      "TABLE p",
      "TABLE p1",
      "TABLE ATTACH p1",
      "MATERIALIZED VIEW m",
    ]);
  });

  it("builds entries of ordinary tables that need only the table's rows", () => {
    assert.deepEqual(
      plan.builds.map(({ entry: { name }, table }) => [name, table.name]),
      [
        ["p1 p1_key", "p1"],
        ["ON", "t"],
        ["st", "t"],
      ],
    );
  });

  it("keeps the dump's order of entries that need such builds, or a routine created later", () => {
    assert.deepEqual(names(plan.after), [
      "CONSTRAINT p p_key",
      "CONSTRAINT p1 p1_key",
      "INDEX m_i",
      "FUNCTION late(s.v)",
      "INDEX bound",
      "INDEX ATTACH p1_key",
      "MATERIALIZED VIEW n",
    ]);
    assert.deepEqual(
      plan.materializedViews.map(({ name }) => name),
      ["m", "n"],
    );
  });

  it("ends with row security, firing triggers, owners from tables to schemas, privileges, and event triggers", () => {
    assert.deepEqual(names(plan.handover), [
      "ROW SECURITY t",
      "TRIGGER t always",
      "ROW SECURITY t",
      "TABLE OWNER t",
      "SEQUENCE OWNER q",
      "SCHEMA OWNER s",
      "ACL TABLE t",
      "EVENT TRIGGER e",
    ]);
    assert.ok(plan.before.every(({ sql }) => !/OWNER TO|FORCE ROW/.test(sql)));
  });
});

/** The statements in a part of the plan, ignoring white space. */
const statements = (entries: readonly Entry[]): string[] => entries.map(({ sql }) => sql.replace(/\s+/g, " "));

describe("the plan of functions that run as their owner", () => {
  const create = (kind: string, options: string): string =>
    `CREATE ${kind} s.f(security text DEFAULT 'SECURITY DEFINER') ${options} AS 'SELECT 1 -- SECURITY DEFINER';

ALTER ${kind} s.f(security text) OWNER TO o;`;
  const planOf = (kind: string, options: string, isTrusted?: (owner: string) => boolean) =>
    planRestore([entry(kind, "f(text)", create(kind, options))], isTrusted && { isTrusted });

  it("creates them without SECURITY DEFINER, which follows owners and privileges", () => {
    for (const kind of ["FUNCTION", "PROCEDURE"]) {
      const { before, handover } = planOf(kind, "LANGUAGE sql STABLE SECURITY DEFINER COST 7");
      assert.deepEqual(statements(before), [
        `CREATE ${kind} s.f(security text DEFAULT 'SECURITY DEFINER') LANGUAGE sql STABLE COST 7 AS 'SELECT 1 -- SECURITY DEFINER';`,
      ]);
      assert.deepEqual(names(handover), [`${kind} OWNER f(text)`, `${kind} DEFINER f(text)`]);
      assert.equal(handover[1]!.sql, `ALTER ${kind} s.f(security text) SECURITY DEFINER;`);
    }
  });

  it("requires the owner of the source, unless this owner's code may run with the privileges of the restoring role", () => {
    const needsOwner = (isTrusted?: (owner: string) => boolean): Entry["needsOwner"] =>
      planOf("FUNCTION", "SECURITY DEFINER", isTrusted).handover[1]!.needsOwner;
    assert.equal(needsOwner(), true);
    assert.equal(
      needsOwner((owner) => owner !== "o"),
      true,
    );
    assert.equal(
      needsOwner((owner) => owner === "o"),
      undefined,
    );
  });

  it("leaves other functions as they are", () => {
    const { before, handover } = planOf("FUNCTION", "LANGUAGE sql");
    assert.match(statements(before)[0]!, /LANGUAGE sql AS/);
    assert.deepEqual(names(handover), ["FUNCTION OWNER f(text)"]);
  });
});

describe("the plan of privileges", () => {
  const acl = (name: string): Entry => entry("ACL", `TABLE ${name}`, `GRANT SELECT(a) ON TABLE s.${name} TO r;`);
  const entries = [
    entry("TABLE", "plain", "CREATE TABLE s.plain (a integer);"),
    entry("TABLE", "ruled", "CREATE TABLE s.ruled (a integer);"),
    entry("VIEW", "v", "CREATE VIEW s.v AS SELECT 1 AS a;"),
    entry(
      "VIEW",
      "invokers",
      "CREATE VIEW s.invokers WITH (security_barrier='true', security_invoker='on') AS SELECT 1 AS a;",
    ),
    entry("VIEW", "definers", "CREATE VIEW s.definers WITH (security_invoker='false') AS SELECT 1 AS a;"),
    entry("VIEW", "late", "CREATE VIEW s.late AS SELECT NULL::integer AS a;"),
    entry("VIEW", "ruled_view", "CREATE VIEW s.ruled_view WITH (security_invoker='1') AS SELECT 1 AS a;"),
    entry("MATERIALIZED VIEW", "m", "CREATE MATERIALIZED VIEW s.m AS SELECT 1 AS a WITH NO DATA;"),
    entry("RULE", "late _RETURN", "CREATE OR REPLACE VIEW s.late WITH (security_invoker=yes) AS SELECT 1 AS a;"),
    entry("RULE", "ruled r", 'CREATE RULE "r.x" AS\n    ON INSERT TO s.ruled DO INSTEAD NOTHING;'),
    entry("RULE", "ruled_view r", "CREATE RULE r AS\n    ON INSERT TO s.ruled_view DO INSTEAD NOTHING;"),
    entry("ACL", "FUNCTION v()", "GRANT ALL ON FUNCTION s.v() TO r;"),
    ...["plain", "ruled", "v", "invokers", "definers", "late", "ruled_view", "m"].map(acl),
  ];
  const needed = (isTrusted?: (owner: string) => boolean): Record<string, unknown> =>
    Object.fromEntries(
      planRestore(entries, isTrusted && { isTrusted })
        .handover.filter(({ needsOwner }) => needsOwner !== undefined)
        .map(({ name, needsOwner }) => [name, needsOwner]),
    );

  it("requires the owner of views, materialized views and tables with rules", () => {
    assert.deepEqual(needed(), {
      "TABLE ruled": true,
      "TABLE v": true,
      "TABLE invokers": "before15",
      "TABLE definers": true,
      "TABLE late": "before15",
      "TABLE ruled_view": true,
      "TABLE m": true,
    });
  });

  it("requires no owner whose views may run with the privileges of the restoring role", () => {
    assert.deepEqual(
      needed((owner) => owner === "o"),
      {},
    );
  });
});

describe("the plan of keys, foreign keys and checks", () => {
  const key = (definition: string): Entry =>
    entry("CONSTRAINT", "t k", `ALTER TABLE ONLY s.t\n    ADD CONSTRAINT "k" ${definition};`);
  const foreignKey = (definition: string, table = "ONLY s.t"): Entry =>
    entry(
      "FK CONSTRAINT",
      "t f",
      `ALTER TABLE ${table}\n    ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES ${definition};`,
    );
  const table = entry("TABLE", "t", "CREATE TABLE s.t (\n    a integer,\n    b text\n);");
  const partitioned = entry("TABLE", "p", "CREATE TABLE s.p (a integer)\nPARTITION BY RANGE (a);");

  it("builds an index, and then a constraint that uses it, with the other statements of the entry", () => {
    const options = "(a, b) INCLUDE (c) WITH (fillfactor='50')";
    for (const [definition, index, constraint] of [
      ["PRIMARY KEY (a)", 'CREATE UNIQUE INDEX "k" ON s.t USING btree (a);', "PRIMARY KEY"],
      [`UNIQUE ${options}`, `CREATE UNIQUE INDEX "k" ON s.t USING btree ${options};`, "UNIQUE"],
      [
        "UNIQUE NULLS NOT DISTINCT (a) WITH (fillfactor='50')",
        `CREATE UNIQUE INDEX "k" ON s.t USING btree (a) NULLS NOT DISTINCT WITH (fillfactor='50');`,
        "UNIQUE",
      ],
    ] as const) {
      const plan = planRestore([table, key(`${definition};\n\nALTER TABLE s.t CLUSTER ON "k"`)]);
      assert.deepEqual(statements(plan.builds.map((build) => build.entry)), [index]);
      const adopted = `ALTER TABLE ONLY s.t ADD CONSTRAINT "k" ${constraint} USING INDEX "k"; ALTER TABLE s.t CLUSTER ON "k";`;
      assert.deepEqual(statements(plan.after), [adopted]);
    }
  });

  describe("of small tables", () => {
    const isSmall = ({ schema, name }: { schema: string; name: string }): boolean => schema === "s" && name === "t";

    it("creates keys with their table", () => {
      const others = `ALTER TABLE ONLY s.t ALTER COLUMN b SET STORAGE PLAIN;`;
      const unique = entry("CONSTRAINT", "t u", `ALTER TABLE ONLY s.t ADD CONSTRAINT u UNIQUE (b) INCLUDE (a);`);
      const plan = planRestore([{ ...table, sql: `${table.sql}\n\n${others}` }, key("PRIMARY KEY (a)"), unique], {
        isSmall,
      });
      assert.deepEqual(statements(plan.before), [
        `CREATE TABLE s.t ( a integer, b text, CONSTRAINT "k" PRIMARY KEY (a), CONSTRAINT u UNIQUE (b) INCLUDE (a) ); ${others}`,
      ]);
      assert.deepEqual([plan.builds, plan.after], [[], []]);
    });

    it("creates a key by its statement if the entry has other statements, or if the table has no list", () => {
      const clustered = key(`PRIMARY KEY (a);\n\nALTER TABLE s.t CLUSTER ON "k"`);
      const deferrable = key("PRIMARY KEY (a) DEFERRABLE");
      const elsewhere = { ...key("PRIMARY KEY (a)"), tablespace: "elsewhere" };
      for (const one of [clustered, deferrable, elsewhere]) {
        const plan = planRestore([table, one], { isSmall });
        assert.deepEqual(plan.before, [table]);
        assert.deepEqual(statements(plan.builds.map((build) => build.entry)), statements([one]));
        assert.deepEqual(plan.after, []);
      }
      const typed = entry("TABLE", "t", "CREATE TABLE s.t OF s.y WITH (fillfactor='50');");
      const plan = planRestore([typed, key("PRIMARY KEY (a)")], { isSmall });
      assert.deepEqual(plan.before, [typed]);
      assert.equal(plan.builds.length, 1);
    });

    it("creates keys separately if CREATE TABLE would merge them, or if the columns are inherited", () => {
      const again = entry("CONSTRAINT", "t again", `ALTER TABLE ONLY s.t ADD CONSTRAINT again UNIQUE (a);`);
      const plan = planRestore([table, key("PRIMARY KEY (a)"), again], { isSmall });
      assert.deepEqual(statements(plan.before), [
        `CREATE TABLE s.t ( a integer, b text, CONSTRAINT "k" PRIMARY KEY (a) );`,
      ]);
      assert.deepEqual(statements(plan.builds.map((build) => build.entry)), statements([again]));
      const heir = entry("TABLE", "t", "CREATE TABLE s.t (\n)\nINHERITS (s.p);");
      const ofHeir = planRestore([heir, again], { isSmall });
      assert.deepEqual(ofHeir.before, [heir]);
      assert.deepEqual(statements(ofHeir.builds.map((build) => build.entry)), statements([again]));
    });
  });

  it("builds a constraint directly if it has no CREATE INDEX form", () => {
    for (const definition of [
      "UNIQUE (a) DEFERRABLE INITIALLY DEFERRED",
      "PRIMARY KEY (a, b WITHOUT OVERLAPS)",
      "EXCLUDE USING gist (a WITH =)",
    ]) {
      const plan = planRestore([table, key(definition)]);
      assert.match(plan.builds[0]!.entry.sql, /ADD CONSTRAINT/);
      assert.deepEqual(plan.after, []);
    }
  });

  it("adds a foreign key NOT VALID, unless it stays so or a side of it is partitioned", () => {
    const plan = planRestore([
      table,
      partitioned,
      foreignKey("s.t(a) ON DELETE CASCADE DEFERRABLE"),
      foreignKey("s.t(a) NOT VALID"),
      foreignKey("s.t(a) NOT ENFORCED"),
      foreignKey("s.p(a)"),
      foreignKey("s.t(a)", "s.p"),
    ]);
    const add = "ALTER TABLE ONLY s.t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES";
    assert.deepEqual(statements(plan.after), [
      `${add} s.t(a) ON DELETE CASCADE DEFERRABLE NOT VALID;`,
      `${add} s.t(a) NOT VALID;`,
      `${add} s.t(a) NOT ENFORCED;`,
      `${add} s.p(a);`,
      "ALTER TABLE s.p ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES s.t(a);",
    ]);
    assert.deepEqual(statements(plan.validations.map((validation) => validation.entry)), [
      "ALTER TABLE ONLY s.t VALIDATE CONSTRAINT f;",
    ]);
  });

  it("defers checks and indexes whose functions may read other rows or depend on the time", () => {
    const plan = planRestore([
      entry("FUNCTION", "f(integer)", "CREATE FUNCTION s.f(integer) RETURNS boolean LANGUAGE sql AS 'SELECT true';"),
      entry(
        "TABLE",
        "t",
        `CREATE TABLE s.t (
    a integer,
    age integer,
    CONSTRAINT "seen, (x)" CHECK (s.f(a)) NO INHERIT,
    CONSTRAINT old CHECK ((age > 0)),
    CONSTRAINT fresh CHECK ((a > CURRENT_DATE)),
    CONSTRAINT unasked CHECK (s.f(a)) NOT ENFORCED
)
PARTITION BY LIST (a);`,
      ),
      entry("TABLE", "o", "CREATE TABLE s.o (\n    a integer\n);"),
      entry("COMMENT", 'CONSTRAINT "seen, (x)" ON t', `COMMENT ON CONSTRAINT "seen, (x)" ON s.t IS 'c';`),
      entry("INDEX", "i", "CREATE INDEX i ON s.o USING btree (s.f(a));"),
      entry("INDEX", "j", "CREATE INDEX j ON s.o USING btree (lower(a));"),
    ]);
    assert.equal(
      statements(plan.before)[1],
      "CREATE TABLE s.t ( a integer, age integer, CONSTRAINT old CHECK ((age > 0)), CONSTRAINT unasked CHECK (s.f(a)) NOT ENFORCED ) PARTITION BY LIST (a);",
    );
    assert.deepEqual(statements(plan.after), [
      "ALTER TABLE s.t ADD CONSTRAINT fresh CHECK ((a > CURRENT_DATE)) NOT VALID;",
      'ALTER TABLE s.t ADD CONSTRAINT "seen, (x)" CHECK (s.f(a)) NO INHERIT NOT VALID;',
      `COMMENT ON CONSTRAINT "seen, (x)" ON s.t IS 'c';`,
    ]);
    assert.equal(plan.validations.length, 2);
    assert.deepEqual(names(plan.deferredBuilds.map((build) => build.entry)), ["INDEX i"]);
    assert.deepEqual(names(plan.builds.map((build) => build.entry)), ["INDEX j"]);
  });

  it("defers a domain's checks that call functions, unless arrays or composite types use it", () => {
    const domain = (name: string): Entry =>
      entry(
        "DOMAIN",
        name,
        `CREATE DOMAIN s.${name} AS text DEFAULT 'CONSTRAINT x'::text
\tCONSTRAINT plain CHECK ((length(VALUE) > 0))
\tCONSTRAINT "looks up" CHECK (s.f(VALUE))
\tCONSTRAINT last CHECK ((VALUE <> ')'::text));`,
      );
    const plan = planRestore([
      entry("FUNCTION", "f(text)", "CREATE FUNCTION s.f(text) RETURNS boolean LANGUAGE sql AS 'SELECT true';"),
      domain("d"),
      domain("inside"),
      entry("TYPE", "c", "CREATE TYPE s.c AS (\n\ta s.inside\n);"),
      entry("COMMENT", 'CONSTRAINT "looks up" ON DOMAIN d', `COMMENT ON CONSTRAINT "looks up" ON DOMAIN s.d IS 'c';`),
      entry("TABLE", "t", "CREATE TABLE s.t (\n    a s.d\n);"),
    ]);
    assert.equal(
      statements(plan.before)[1],
      "CREATE DOMAIN s.d AS text DEFAULT 'CONSTRAINT x'::text CONSTRAINT plain CHECK ((length(VALUE) > 0)) CONSTRAINT last CHECK ((VALUE <> ')'::text));",
    );
    assert.match(statements(plan.before)[2]!, /looks up/);
    assert.deepEqual(statements(plan.after), [
      'ALTER DOMAIN s.d ADD CONSTRAINT "looks up" CHECK (s.f(VALUE)) NOT VALID;',
      `COMMENT ON CONSTRAINT "looks up" ON DOMAIN s.d IS 'c';`,
    ]);
    assert.deepEqual(statements(plan.validations.map((validation) => validation.entry)), [
      'ALTER DOMAIN s.d VALIDATE CONSTRAINT "looks up";',
    ]);
  });
});
