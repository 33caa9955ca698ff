import assert from "node:assert/strict";
import type { Entry } from "../../provider/src/schema/entries";
import { planRestore } from "../../provider/src/schema/restore-plan";

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
    entry("PUBLICATION TABLE", "pg_migration_x t", "ALTER PUBLICATION pg_migration_x ADD TABLE ONLY s.t;"),
    entry("EVENT TRIGGER", "e", "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION s.f();"),
    entry("ROW SECURITY", "t", "ALTER TABLE s.t ENABLE ROW LEVEL SECURITY;"),
    entry("ACL", "TABLE t", "GRANT SELECT ON TABLE s.t TO r;"),
  ]);
  const names = (entries: readonly Entry[]): string[] => entries.map(({ type, name }) => `${type} ${name}`);

  it("puts before the data what the dump does", () => {
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

  it("builds per ordinary table what needs nothing but its rows", () => {
    assert.deepEqual(
      plan.builds.map(({ entry: { name }, table }) => [name, table.name]),
      [
        ["p1 p1_key", "p1"],
        ["ON", "t"],
        ["st", "t"],
      ],
    );
  });

  it("keeps the dump's order for what needs those, or a routine that comes late", () => {
    assert.deepEqual(names(plan.after), [
      "CONSTRAINT p p_key",
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

  it("hands over at the end: row security, owners from tables to schemas, privileges, event triggers", () => {
    assert.deepEqual(names(plan.handover), [
      "ROW SECURITY t",
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
