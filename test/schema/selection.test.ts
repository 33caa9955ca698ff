import assert from "node:assert/strict";
import fc from "fast-check";
import { connect } from "../../provider/src/postgres/connection/connect";
import { dumpSchema } from "../../provider/src/schema/dump/dump";
import { type Filters, readSelection, selectEntries } from "../../provider/src/schema/plan/selection";
import { planRestore } from "../../provider/src/schema/plan/restore-plan";
import { readRestoreContext } from "../../provider/src/schema/restore/restore-context";
import { restoreEntries } from "../../provider/src/schema/restore/restore";
import { type Entry, parseTocEntries } from "../../provider/src/schema/sql/toc-entries";
import { endpointOf, freshDatabase, open } from "../copy/pairs";
import { EmbeddedServer } from "../support/servers/embedded-server";

const rounds = Number(process.env.PG_MIGRATION_TEST_ROUNDS ?? 3);

describe("the selection of objects", () => {
  let server: EmbeddedServer;
  before(async () => {
    server = await EmbeddedServer.start({ major: 17 });
  });
  after(() => server.stop());

  const entriesOf = async (database: string, tool: "native" | "wasm" = "wasm"): Promise<Entry[]> =>
    parseTocEntries((await dumpSchema(endpointOf(server), database, { tool })).text);

  /** Restores the selected objects of a filter into a new database. Undefined if validation refuses the filter. */
  async function restored(database: string, entries: readonly Entry[], filters: Filters): Promise<string | undefined> {
    const source = await open(server, database);
    const selection = await readSelection(source, filters).finally(() => source.end());
    if (selection.lost.some(({ isEssential }) => isEssential)) return undefined;
    const plan = planRestore(selectEntries(entries, selection));
    const into = await freshDatabase(server);
    const target = await connect(endpointOf(server), { database: into, purpose: "test" });
    try {
      const context = await readRestoreContext(target);
      const builds = [...plan.builds, ...plan.deferredBuilds].map(({ entry }) => entry);
      for (const part of [plan.before, builds, plan.after, plan.validations.map(({ entry }) => entry), plan.handover])
        assert.deepEqual(await restoreEntries(target, part, context), []);
      const { rows } = await target.query<{ names: string | null }>(
        `SELECT string_agg(n.nspname || '.' || c.relname, ' ' ORDER BY 1, c.relname) AS names FROM pg_class c
           JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND n.nspname ~ '^(s\\d|part|public)$'`,
      );
      return rows[0]!.names ?? "";
    } finally {
      await target.end();
      await server.query(`DROP DATABASE ${into}`);
    }
  }

  it("excludes a partitioned table with its partitions, or one partition", async () => {
    const database = await freshDatabase(
      server,
      `CREATE SCHEMA part;
       CREATE TABLE part.r (k int, v int, PRIMARY KEY (k, v)) PARTITION BY RANGE (k); CREATE INDEX ON part.r (v);
       CREATE TABLE part."r.1" PARTITION OF part.r FOR VALUES FROM (0) TO (10) PARTITION BY LIST (v);
       CREATE TABLE part."r 1 1" PARTITION OF part."r.1" FOR VALUES IN (1);
       CREATE TABLE part.r2 PARTITION OF part.r FOR VALUES FROM (10) TO (20);
       CREATE TABLE part.t (id int PRIMARY KEY)`,
    );
    for (const tool of ["wasm", "native"] as const) {
      const entries = await entriesOf(database, tool).catch(() => undefined);
      if (!entries) continue;
      const tables = (filters: Partial<Filters>): Promise<string | undefined> =>
        restored(database, entries, { include: {}, exclude: {}, ...filters });
      assert.equal(await tables({ exclude: { tables: ["part.r"] } }), "part.t");
      assert.equal(await tables({ exclude: { schemas: ["part"] } }), "");
      assert.equal(await tables({ include: { tables: ["part.t"] } }), "part.t");
      assert.equal(await tables({ exclude: { tables: ["part.r2"] } }), "part.r part.r 1 1 part.r.1 part.t");
      assert.equal(await tables({ exclude: { tables: ["part.r.1"] } }), "part.r part.r2 part.t");
    }
  });

  it("restores random schemas with random filters", async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(schema, fc.array(filters, { minLength: 8, maxLength: 8 }), async (statements, drawn) => {
        const database = await freshDatabase(server);
        // A statement that refers to an object that was not drawn creates nothing.
        for (const sql of statements) await server.query(sql, { database }).catch(() => undefined);
        const entries = await entriesOf(database);
        for (const one of drawn) if ((await restored(database, entries, one)) !== undefined) accepted++;
      }),
      { numRuns: rounds, endOnFailure: true },
    );
    assert.ok(accepted > rounds, `only ${accepted} filters were accepted`);
  });
});

const schemas = ["s1", "s2", "s3"];
const schemaName = fc.constantFrom(...schemas);
const number = fc.integer({ min: 0, max: 5 });
const table = fc.tuple(schemaName, number).map(([schema, n]) => `${schema}.t${n}`);

/** One object, or several related ones, over tables that may or may not exist. */
const statement: fc.Arbitrary<string> = fc.oneof(
  table.map(
    (name) =>
      `CREATE TABLE ${name} (id serial PRIMARY KEY, v text NOT NULL DEFAULT 'x', n int CHECK (n > 0), g int GENERATED ALWAYS AS IDENTITY)`,
  ),
  table.map((name) => `CREATE TABLE ${name} (id int, v text, n int, PRIMARY KEY (id, n)) PARTITION BY RANGE (id)`),
  fc
    .tuple(table, table, number)
    .map(([one, other, n]) => `CREATE TABLE ${one} PARTITION OF ${other} FOR VALUES FROM (${n}0) TO (${n + 1}0)`),
  fc
    .tuple(table, table, number)
    .map(
      ([one, other, n]) =>
        `CREATE TABLE ${one} PARTITION OF ${other} FOR VALUES FROM (${n}0) TO (${n + 1}0) PARTITION BY HASH (n)`,
    ),
  fc
    .tuple(table, table, number)
    .map(([one, other, n]) => `CREATE TABLE ${one} PARTITION OF ${other} FOR VALUES WITH (MODULUS 6, REMAINDER ${n})`),
  fc.tuple(table, table).map(([one, other]) => `CREATE TABLE ${one} (more int) INHERITS (${other})`),
  fc.tuple(schemaName, number).map(([schema, n]) => `CREATE TYPE ${schema}.e${n} AS ENUM ('a', 'b')`),
  fc.tuple(schemaName, number).map(([schema, n]) => `CREATE DOMAIN ${schema}.d${n} AS int CHECK (VALUE > 0)`),
  fc
    .tuple(schemaName, number, table)
    .map(
      ([schema, n, of]) => `CREATE FUNCTION ${schema}.f${n}(r ${of}) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'`,
    ),
  fc
    .tuple(schemaName, number)
    .map(([schema, n]) => `CREATE FUNCTION ${schema}.g${n}(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'`),
  fc
    .tuple(schemaName, number)
    .map(
      ([schema, n]) => `CREATE FUNCTION ${schema}.w${n}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
    ),
  fc.tuple(table, schemaName, number).map(([of, schema, n]) => `ALTER TABLE ${of} ADD COLUMN e${n} ${schema}.e${n}`),
  fc.tuple(table, schemaName, number).map(([of, schema, n]) => `ALTER TABLE ${of} ADD COLUMN d${n} ${schema}.d${n}[]`),
  fc
    .tuple(table, schemaName, number)
    .map(([of, schema, n]) => `ALTER TABLE ${of} ALTER n SET DEFAULT ${schema}.g${n}(1)`),
  fc.tuple(table, schemaName, number).map(([of, schema, n]) => `ALTER TABLE ${of} ADD CHECK (${schema}.g${n}(n) > 0)`),
  fc.tuple(table, schemaName, number).map(([of, schema, n]) => `CREATE INDEX ON ${of} (${schema}.g${n}(n))`),
  fc
    .tuple(table, schemaName, number)
    .map(
      ([of, schema, n]) =>
        `CREATE TRIGGER w${n} BEFORE INSERT ON ${of} FOR EACH ROW EXECUTE FUNCTION ${schema}.w${n}()`,
    ),
  fc.tuple(table, table).map(([one, other]) => `ALTER TABLE ${one} ADD FOREIGN KEY (n) REFERENCES ${other} (id)`),
  fc
    .tuple(table, table)
    .map(
      ([one, other]) =>
        `ALTER TABLE ${one} ADD UNIQUE (id); ALTER TABLE ${other} ADD FOREIGN KEY (n) REFERENCES ${one} (id)`,
    ),
  fc
    .tuple(schemaName, number, table, table)
    .map(([schema, n, one, other]) => `CREATE VIEW ${schema}.v${n} AS SELECT a.id, b.v FROM ${one} a, ${other} b`),
  fc
    .tuple(schemaName, number, schemaName, number)
    .map(([schema, n, other, m]) => `CREATE VIEW ${schema}.v${n} AS SELECT * FROM ${other}.v${m}`),
  fc
    .tuple(schemaName, number, table)
    .map(
      ([schema, n, of]) =>
        `CREATE MATERIALIZED VIEW ${schema}.m${n} AS SELECT * FROM ${of}; CREATE UNIQUE INDEX ON ${schema}.m${n} (id)`,
    ),
  fc.tuple(table, table).map(([one, other]) => `CREATE RULE r AS ON DELETE TO ${one} DO ALSO DELETE FROM ${other}`),
  fc
    .tuple(table, table)
    .map(
      ([one, other]) =>
        `ALTER TABLE ${one} ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON ${one} USING (EXISTS (SELECT FROM ${other}))`,
    ),
  table.map((of) => `CREATE STATISTICS ON id, n FROM ${of}`),
  fc.tuple(table, number).map(([of, n]) => `CREATE PUBLICATION p${n} FOR TABLE ${of} WHERE (id > 0)`),
  fc.tuple(schemaName, number).map(([schema, n]) => `CREATE PUBLICATION p${n} FOR TABLES IN SCHEMA ${schema}`),
  fc
    .tuple(schemaName, number, table)
    .map(
      ([schema, n, of]) =>
        `CREATE SEQUENCE ${schema}.q${n}; ALTER TABLE ${of} ALTER id SET DEFAULT nextval('${schema}.q${n}')`,
    ),
  table.map(
    (of) => `COMMENT ON TABLE ${of} IS 'c'; COMMENT ON COLUMN ${of}.id IS 'c'; GRANT SELECT ON ${of} TO PUBLIC`,
  ),
  fc.tuple(table, table).map(([one, other]) => `CREATE TABLE ${one} (LIKE ${other} INCLUDING ALL)`),
  fc.tuple(schemaName, number, table).map(([schema, n, of]) => `CREATE TYPE ${schema}.c${n} AS (a ${of}, b int)`),
  fc.tuple(schemaName, number, table).map(([schema, n, of]) => `ALTER TABLE ${of} ADD COLUMN c${n} ${schema}.c${n}`),
);

const schema = fc
  .array(statement, { minLength: 60, maxLength: 150, size: "max" })
  .map((statements) => [...schemas.map((name) => `CREATE SCHEMA ${name}`), ...statements]);

const pattern = fc.oneof(
  table,
  table,
  fc.tuple(schemaName, number).map(([s, n]) => `${s}.v${n}`),
  number.map((n) => `t${n}`),
  fc.constant("t*"),
);
const filter = fc.record(
  {
    schemas: fc.array(schemaName, { minLength: 1, maxLength: 2 }),
    tables: fc.array(pattern, { minLength: 1, maxLength: 4 }),
  },
  { requiredKeys: [] },
);
const filters = fc.oneof(
  filter.map((exclude): Filters => ({ include: {}, exclude })),
  fc.record({ include: filter, exclude: filter }),
);
