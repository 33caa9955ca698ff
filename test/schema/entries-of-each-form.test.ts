import assert from "node:assert/strict";
import { entriesOfEachForm } from "../../provider/src/schema/plan/entries-of-each-form";
import type { Entry } from "../../provider/src/schema/sql/toc-entries";

let lastId = 0;

const entry = (type: string, sql: string, properties: Partial<Entry> = {}): Entry => ({
  ...{ id: ++lastId, classOid: 0, oid: 0, dependencies: [], name: "n", type, schema: "s", owner: "o" },
  ...{ tablespace: undefined, accessMethod: "heap", sql },
  ...properties,
});

/** A tenant's tables in a schema of its own. */
function tenant(schema: string): Entry[] {
  const orders = entry(
    "TABLE",
    `CREATE TABLE ${schema}.orders (id integer DEFAULT nextval('${schema}.ids'::regclass), item text);\n\n\nALTER TABLE ${schema}.orders OWNER TO o;`,
  );
  return [
    entry("SCHEMA", `CREATE SCHEMA ${schema};`),
    entry("SEQUENCE", `CREATE SEQUENCE ${schema}.ids;`),
    orders,
    entry("COMMENT", `COMMENT ON TABLE ${schema}.orders IS 'those of ${schema}';`, { dependencies: [orders.id] }),
    entry("CONSTRAINT", `ALTER TABLE ONLY ${schema}.orders\n    ADD CONSTRAINT "${schema} key" PRIMARY KEY (id);`),
    entry("INDEX", `CREATE INDEX ${schema}_items ON ${schema}.orders USING btree (item);`),
  ];
}

const table = (name: string, column = "integer"): Entry => entry("TABLE", `CREATE TABLE public.${name} (a ${column});`);

describe("the entries of each form", () => {
  it("are those of the first of several tables that differ only in names", () => {
    const [one, other] = [tenant("first"), tenant("second")];
    assert.deepEqual(entriesOfEachForm([...one, ...other]), [...one, other[0]]);
  });

  it("include tables that differ in a type, an owner, a storage, or an index", () => {
    const entries = [
      ...[table("t1"), table("t2", "text"), { ...table("t3"), owner: "p" }, { ...table("t4"), accessMethod: "other" }],
      ...[table("t5"), entry("INDEX", "CREATE INDEX i ON public.t5 USING btree (a);")],
    ];
    assert.deepEqual(entriesOfEachForm(entries), entries);
  });

  it("include all tables that objects of other kinds mention", () => {
    const entries = [
      ...[table("t1"), table("t2"), table("t3")],
      entry("FUNCTION", "CREATE FUNCTION public.f() RETURNS SETOF public.t2 LANGUAGE sql AS 'SELECT 1';"),
      entry("TRIGGER", "CREATE TRIGGER g BEFORE INSERT ON public.t3 FOR EACH ROW EXECUTE FUNCTION public.h();"),
    ];
    assert.deepEqual(entriesOfEachForm(entries), entries);
  });

  it("include tables with references to different tables", () => {
    const key = (from: string, to: string): Entry =>
      entry(
        "FK CONSTRAINT",
        `ALTER TABLE ONLY public.${from} ADD CONSTRAINT ${from}_key FOREIGN KEY (a) REFERENCES public.${to}(a);`,
      );
    const entries = [table("t1"), table("t2"), table("u1"), table("u2", "bigint"), key("t1", "u1"), key("t2", "u2")];
    assert.deepEqual(entriesOfEachForm(entries), entries);
  });
});
