import assert from "node:assert/strict";
import type { Entry } from "../../provider/src/schema/sql/toc-entries";
import { parallelGroupsOf } from "../../provider/src/schema/restore/parallel-groups";

let lastId = 0;

const entry = (type: string, name: string, sql: string, dependencies: readonly number[] = []): Entry => ({
  id: ++lastId,
  classOid: 0,
  oid: 0,
  dependencies,
  name,
  type,
  schema: "s",
  owner: "o",
  tablespace: undefined,
  accessMethod: "heap",
  sql,
});

const plain = (count: number): Entry[] =>
  Array.from({ length: count }, (_, n) => entry("TABLE", `t${n}`, `CREATE TABLE s.t${n} (a integer);`));

describe("the parallel groups of a restore", () => {
  it("keep the dump's order if there are few entries", () => {
    const entries = [entry("SCHEMA", "s", "CREATE SCHEMA s;"), ...plain(100), entry("FUNCTION", "f()", "...")];
    assert.deepEqual(parallelGroupsOf(entries), [{ entries, groups: [] }]);
  });

  it("contain every entry once, after the entries before their group", () => {
    const before = entry("TYPE", "e", "CREATE TYPE s.e AS ENUM ();");
    const after = entry("FUNCTION", "f()", "CREATE FUNCTION s.f() RETURNS SETOF s.t1 ...;");
    const [one, several] = [plain(250), plain(300)];
    const parallelGroups = parallelGroupsOf([before, ...one, after, ...several]);
    assert.deepEqual(
      parallelGroups.map(({ entries }) => entries),
      [[before], one, [after], several],
    );
    for (const { entries, groups } of parallelGroups)
      if (groups.length > 0)
        assert.deepEqual(
          groups.flat().sort((left, right) => left.id - right.id),
          entries,
        );
    assert.deepEqual(
      parallelGroups.map(({ groups }) => groups.length),
      [0, 5, 0, 6],
    );
  });

  it("keep entries together, in order, that mention each other", () => {
    const parent = entry("TABLE", "A.b", 'CREATE TABLE s."A.b" (a integer);');
    const sequence = entry("SEQUENCE", "q", "CREATE SEQUENCE s.q;");
    const owned = entry("SEQUENCE OWNED BY", "q", 'ALTER SEQUENCE s.q OWNED BY s."A.b".a;', [sequence.id]);
    const child = entry("TABLE", "child", 'CREATE TABLE s.child (\n)\nINHERITS (s."A.b");');
    const view = entry("VIEW", "v", "CREATE VIEW s.v AS SELECT child.a FROM s.child;");
    const comment = entry("COMMENT", "COLUMN v.a", "COMMENT ON COLUMN s.v.a IS 'of s.t1';", [view.id]);
    const value = entry(
      "DEFAULT",
      "t7 a",
      "ALTER TABLE ONLY s.t7 ALTER COLUMN a SET DEFAULT nextval('s.q'::regclass);",
    );
    const tables = plain(300);
    const family = [parent, sequence, owned, child, view, comment, value];
    // Unrelated entries are between them; t1 and t7 are mentioned.
    const entries = family.flatMap((one, n) => [...tables.slice(n * 40, n * 40 + 40), one]);
    const [stretch] = parallelGroupsOf(entries);
    const group = stretch!.groups.find((one) => one.includes(parent))!;
    const wanted = [tables[1]!, tables[7]!, ...family];
    assert.deepEqual(
      group.filter((one) => wanted.includes(one)),
      entries.filter((one) => wanted.includes(one)),
    );
  });
});
