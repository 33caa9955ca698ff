import assert from "node:assert/strict";
import { copyFormat } from "../../provider/src/copy/format";
import { copyTable, emptyTarget } from "../../provider/src/copy/copy-table";
import { planParts } from "../../provider/src/copy/plan-parts";
import { RefusedError } from "../../provider/src/errors";
import { connect } from "../../provider/src/postgres/connection/connect";
import { compareTables } from "../../provider/src/verify/compare-tables";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { everyTypeInserts, everyTypeSchema } from "./every-type";
import { endpointOf, freshDatabase, open, tableNamed, withSessions } from "./pairs";

describe("the copy of a table", () => {
  const servers = new Map<number, EmbeddedServer>();
  const server = (major: number): EmbeddedServer => servers.get(major)!;

  before(async () => {
    const started = [10, 14, 17, 18] as const;
    const all = await Promise.all(
      started.map((major) => EmbeddedServer.start({ major, parameters: { autovacuum: "off" } })),
    );
    all.forEach((each) => servers.set(each.major, each));
  });
  after(() => Promise.all([...servers.values()].map((each) => each.stop())));

  for (const [from, to] of [
    [10, 17],
    [14, 18],
    [18, 18],
    [18, 10],
  ] as const) {
    it(`keeps every value of every type from ${from} to ${to}, in either format`, async () => {
      const sourceDatabase = await freshDatabase(server(from), everyTypeSchema, everyTypeInserts);
      const targetDatabase = await freshDatabase(server(to), everyTypeSchema);
      const sides = [
        [server(from), sourceDatabase],
        [server(to), targetDatabase],
      ] as const;
      await withSessions(...sides, async (source, target) => {
        const table = await tableNamed(source, "every_type");
        for (const format of ["text", "binary"] as const) {
          // In binary format only the columns that support it.
          const some = {
            ...table,
            columns: table.columns.filter((column) => {
              const alone = { ...table, columns: [column] };
              return format === "text" || copyFormat(alone, alone, 170000, 170000) === "binary";
            }),
          };
          assert.ok(some.columns.length > 45, `${some.columns.length} columns`);
          const { rows } = await copyTable({ source, target, table: some, format });
          assert.equal(rows, 4);
          const [compared] = await compareTables({
            openSource: () => open(server(from), sourceDatabase),
            openTarget: () => open(server(to), targetDatabase),
            tables: [{ table: some, condition: undefined }],
            mode: "content",
            jobs: 1,
          });
          assert.deepEqual(compared?.firstDifferences, [], format);
          assert.equal(compared.equal, true, format);
        }
        // An independent check without row images: the text of every value, if both versions print it alike.
        if (Math.min(from, to) < 12) return;
        await copyTable({ source, target, table, format: "text" });
        const text = "SELECT r::text FROM public.every_type r ORDER BY id";
        assert.deepEqual((await target.query(text)).rows, (await source.query(text)).rows);
      });
    });
  }

  it("uses the binary format only if both servers read it alike", async () => {
    const shape = (type: string): string =>
      `CREATE TYPE mood AS ENUM ('a'); CREATE TYPE pair AS (a int); CREATE DOMAIN small AS int2; CREATE TABLE t (a int, v ${type})`;
    const expected: Record<string, string> = {
      ...{
        text: "binary",
        mood: "binary",
        small: "binary",
        "int[]": "binary",
        '"char"': "binary",
        jsonb: "binary",
        tsquery: "text",
      },
      ...{
        "mood[]": "text",
        pair: "text",
        "pair[]": "text",
        regclass: "text",
        xml: "text",
        aclitem: "text",
        "regtype[]": "text",
      },
    };
    for (const [type, format] of Object.entries(expected)) {
      const database = await freshDatabase(server(18), shape(type));
      await withSessions([server(18), database], [server(18), database], async (session) => {
        const table = await tableNamed(session, "t");
        assert.equal(copyFormat(table, table, 140000, 180000), format, type);
        assert.equal(copyFormat(table, table, 90600, 180000), "text", type);
        const other = { ...table, columns: table.columns.map((each) => ({ ...each, type: "bigint" })) };
        assert.equal(copyFormat(table, other, 140000, 180000), "text", type);
      });
    }
  });

  it("copies rows without columns, generated columns, ALWAYS identities and unusual names, but no rows of child tables", async () => {
    const shape = `
      CREATE TABLE "no columns" ();
      CREATE TABLE "Strange "" name" ("a ""b" int GENERATED ALWAYS AS IDENTITY, "select" int,
                                      g int GENERATED ALWAYS AS ("select" * 2) STORED, gone int);
      ALTER TABLE "Strange "" name" DROP COLUMN gone;
      CREATE TABLE child () INHERITS ("Strange "" name")`;
    const sourceDatabase = await freshDatabase(
      server(14),
      shape,
      `INSERT INTO "no columns" SELECT FROM generate_series(1, 3);
       INSERT INTO "Strange "" name" ("select") SELECT 7; INSERT INTO child ("a ""b", "select") VALUES (99, 8)`,
    );
    const targetDatabase = await freshDatabase(server(18), shape);
    await withSessions([server(14), sourceDatabase], [server(18), targetDatabase], async (source, target) => {
      for (const format of ["text", "binary"] as const) {
        for (const name of ["no columns", 'Strange " name', "child"])
          await copyTable({ source, target, table: await tableNamed(source, name), format });
        const none = await target.query<{ n: string }>('SELECT count(*) AS n FROM public."no columns"');
        assert.equal(none.rows[0]!.n, "3");
        const rows = await target.query({ text: 'SELECT * FROM ONLY public."Strange "" name"', rowMode: "array" });
        assert.deepEqual(rows.rows, [[1, 7, 14]]);
        const children = await target.query({ text: "SELECT * FROM public.child", rowMode: "array" });
        assert.deepEqual(children.rows, [[99, 8, 16]]);
      }
    });
  });

  it("freezes the rows of a whole table, can be repeated, and rolls back completely", async () => {
    const shape = "CREATE TABLE t (id int PRIMARY KEY)";
    const sourceDatabase = await freshDatabase(server(14), shape, "INSERT INTO t SELECT generate_series(1, 5000)");
    const targetDatabase = await freshDatabase(server(18), shape);
    await withSessions([server(14), sourceDatabase], [server(18), targetDatabase], async (source, target) => {
      const table = await tableNamed(source, "t");
      const count = async (): Promise<string> =>
        (await target.query<{ n: string }>("SELECT count(*) AS n FROM public.t")).rows[0]!.n;
      for (let round = 0; round < 2; round++) {
        await copyTable({ source, target, table, format: "binary" });
        assert.equal(await count(), "5000");
      }
      await server(18).query("CREATE EXTENSION pg_visibility", { database: targetDatabase });
      const frozen = "SELECT all_frozen FROM public.pg_visibility_map_summary('public.t')";
      const map = await server(18).query<{ all_frozen: string }>(frozen, { database: targetDatabase });
      assert.ok(Number(map[0]!.all_frozen) > 0);

      const stop = new Error("not now");
      const beforeCommit = (): Promise<void> => Promise.reject(stop);
      await target.query("DELETE FROM public.t WHERE id > 5");
      await assert.rejects(copyTable({ source, target, table, format: "binary", beforeCommit }), stop);
      assert.equal(await count(), "5");

      await target.query("CREATE TABLE public.r (id int REFERENCES public.t); INSERT INTO public.r VALUES (1)");
      await target.query("SET session_replication_role = replica");
      await copyTable({ source, target, table, format: "binary" });
      assert.equal(await count(), "5000");
      assert.equal((await target.query("SELECT FROM public.r")).rowCount, 1);
    });
  });

  it("takes three round trips to the target and one to the source", async () => {
    const shape = "CREATE TABLE t (id int PRIMARY KEY)";
    const ends = [
      {
        server: server(14),
        database: await freshDatabase(server(14), shape, "INSERT INTO t SELECT generate_series(1, 5000)"),
      },
      { server: server(18), database: await freshDatabase(server(18), shape) },
    ] as const;
    const proxies = await Promise.all(ends.map((end) => CuttableProxy.to(endpointOf(end.server))));
    const [source, target] = await Promise.all(
      proxies.map(({ endpoint }, n) => connect(endpoint, { database: ends[n]!.database, purpose: "test" })),
    );
    try {
      const table = await tableNamed(source!, "t");
      const before = proxies.map(({ queries }) => queries);
      const beforeCommit = (): Promise<void> => Promise.resolve();
      await copyTable({ source: source!, target: target!, table, format: "binary", beforeCommit });
      const requests = proxies.map(({ queries }, n) => queries - before[n]!);
      assert.deepEqual(requests, [1, 3]);
    } finally {
      await Promise.all([source!.end(), target!.end()]);
      await Promise.all(proxies.map((proxy) => proxy.close()));
    }
  });

  it("replaces only the rows of an extension's condition", async () => {
    const shape = "CREATE TABLE t (id int)";
    const sourceDatabase = await freshDatabase(server(14), shape, "INSERT INTO t SELECT generate_series(1, 10)");
    const targetDatabase = await freshDatabase(server(18), shape, "INSERT INTO t VALUES (1), (2), (8)");
    await withSessions([server(14), sourceDatabase], [server(18), targetDatabase], async (source, target) => {
      const table = await tableNamed(source, "t");
      for (let round = 0; round < 2; round++)
        await copyTable({ source, target, table, format: "binary", condition: "id > 7 OR id = 5" });
      const { rows } = await target.query<{ ids: number[] }>("SELECT array_agg(id ORDER BY id) AS ids FROM public.t");
      assert.deepEqual(rows[0]!.ids, [1, 2, 5, 8, 9, 10]);
    });
  });

  it("fails if row-level security would hide rows", async () => {
    const database = await freshDatabase(
      server(14),
      "CREATE TABLE t (id int); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE ROLE reader LOGIN PASSWORD 'p'; GRANT SELECT ON t TO reader",
    );
    const targetDatabase = await freshDatabase(server(18), "CREATE TABLE t (id int)");
    await withSessions([server(14), database], [server(18), targetDatabase], async (source, target) => {
      const table = await tableNamed(source, "t");
      await source.query("SET SESSION AUTHORIZATION reader");
      await assert.rejects(copyTable({ source, target, table, format: "text" }), (error: Error) => {
        assert.ok(error instanceof RefusedError);
        assert.match(error.message, /"public"\."t".*row-level security/);
        return true;
      });
    });
  });

  for (const major of [10, 14]) {
    it(`in parts contains every row exactly once on PostgreSQL ${major}`, async () => {
      const shape = "CREATE TABLE t (id int8 PRIMARY KEY, v text)";
      const database = await freshDatabase(server(major), shape);
      const targetDatabase = await freshDatabase(server(18), shape);
      await withSessions([server(major), database], [server(18), targetDatabase], async (source, target) => {
        for (const [lowest, step, analyze] of [
          [-5000, 1, false],

          ["-9223372036854775808", 1000000, false],
          ["9223372036854765807", 1, true],
        ] as const) {
          await source.query("TRUNCATE public.t");
          await source.query(
            `INSERT INTO public.t SELECT '${lowest}'::numeric + i::numeric * ${step}, repeat('x', 200) FROM generate_series(0, 9999) i`,
          );
          if (analyze) await source.query("ANALYZE public.t");
          const table = await tableNamed(source, "t");
          const parts = await planParts(source, table, { splitBytes: 100_000, parts: 7 });
          assert.equal(parts.length, 7);
          await emptyTarget(target, table);
          let fullest = 0;
          for (const part of parts) {
            const { rows } = await copyTable({ source, target, table, format: "binary", part });
            fullest = Math.max(fullest, rows);
          }
          assert.ok(fullest < 3000, `one part has ${fullest} of 10000 rows`);
          const { rows } = await target.query<{ n: string }>("SELECT count(*) AS n FROM public.t");
          assert.equal(rows[0]!.n, "10000");
          // Rows inserted after the plan are in the open ranges at both ends.
          const all = parts.map((part) => `(SELECT count(*) FROM public.t WHERE ${part})`).join(" + ");
          await source.query(
            "INSERT INTO public.t SELECT 7000000::int8 + i, repeat('y', 500) FROM generate_series(1, 5000) i",
          );
          const counted = await source.query<{ n: string }>(`SELECT ${all} AS n`);
          assert.equal(counted.rows[0]!.n, "15000");
        }
        const small = await planParts(source, await tableNamed(source, "t"), { splitBytes: 1e9, parts: 7 });
        assert.deepEqual(small, []);
      });
    });
  }
});
