import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { CanceledError, ContentDiffersError, RefusedError, UnreachableError } from "../../provider/src/errors";
import { connect } from "../../provider/src/postgres/connection/connect";
import {
  type BytesCompared,
  compareTables,
  type TableComparison,
  type TablesComparison,
} from "../../provider/src/verify/compare-tables";
import { compareWithinBudget } from "../../provider/src/verify/compare-within-budget";
import { ContentBudget } from "../../provider/src/verify/content-budget";
import { contentDiffers } from "../../provider/src/verify/content-differs";
import { quoteIdentifier } from "../../provider/src/postgres/identifiers";
import { listSizedTables } from "../../provider/src/postgres/tables";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { until } from "../support/until";
import { everyTypeInserts, everyTypeSchema } from "../copy/every-type";
import { freshDatabase, open } from "../copy/pairs";

describe("the comparison of tables", () => {
  let older: EmbeddedServer;
  let newer: EmbeddedServer;
  before(async () => {
    [older, newer] = await Promise.all([EmbeddedServer.start({ major: 10 }), EmbeddedServer.start({ major: 17 })]);
  });
  after(() => Promise.all([older.stop(), newer.stop()]));

  async function compare(
    [source, sourceDatabase]: readonly [EmbeddedServer, string],
    [target, targetDatabase]: readonly [EmbeddedServer, string],
    options: Partial<TablesComparison> = {},
  ): Promise<TableComparison[]> {
    const openSource = () => open(source, sourceDatabase);
    const session = await openSource();
    const tables = (await listSizedTables(session)).filter((table) => !table.partitioned);
    await session.end();
    return compareTables({
      openSource,
      openTarget: () => open(target, targetDatabase),
      tables: tables.map((table) => ({ table, condition: undefined })),
      mode: "content",
      jobs: 2,
      ...options,
    });
  }

  it("distinguishes a table that differs from one that was truncated or replaced after the snapshot", async () => {
    const tables =
      "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int); CREATE TABLE gone (id int); CREATE TABLE same (id int)";
    const rows =
      "INSERT INTO t SELECT generate_series(1, 9); INSERT INTO u SELECT * FROM t; INSERT INTO gone SELECT * FROM t; INSERT INTO same SELECT * FROM t";
    const [source, target] = await Promise.all([
      freshDatabase(older, `${tables}; ${rows}`),
      freshDatabase(newer, `${tables}; ${rows}; DELETE FROM u WHERE id = 1`),
    ]);
    const seen = await open(older, source);
    await seen.query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SELECT count(*) FROM pg_class");
    await older.query("TRUNCATE t; INSERT INTO t VALUES (10); DROP TABLE gone; CREATE TABLE gone (id int)", {
      database: source,
    });
    const results = await compare([older, source], [newer, target], {
      openSource: () => Promise.resolve(seen),
      underSnapshots: ["source"],
      jobs: 1,
    });
    const found = results.map(({ table, equal, replaced }) => [table, equal, replaced ?? false]).sort();
    assert.deepEqual(found, [
      ["gone", false, true],
      ["same", true, false],
      ["t", false, true],
      ["u", false, false],
    ]);
  });

  async function lockedTable(sizeOfFirst: number): Promise<void> {
    const tables = "CREATE TABLE first (v text); CREATE TABLE t (id int)";
    const rows = `INSERT INTO first SELECT repeat('x', 1000) FROM generate_series(1, ${sizeOfFirst}); INSERT INTO t VALUES (1)`;
    const [source, target] = await Promise.all([
      freshDatabase(newer, `${tables}; ${rows}`),
      freshDatabase(older, `${tables}; ${rows}`),
    ]);
    const [seen, obstacle] = await Promise.all([open(newer, source, "test of locks"), newer.connect(source)]);
    await seen.query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SELECT count(*) FROM pg_class");
    try {
      const compared = compare([newer, source], [older, target], {
        // Only now, because listing the tables reads their sizes, which waits for locks.
        openSource: async () => {
          await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
          return seen;
        },
        underSnapshots: ["source"],
        jobs: 1,
      });
      compared.catch(() => undefined);
      await until("the comparison waits for the table", async () => {
        const waiting =
          "SELECT FROM pg_stat_activity WHERE application_name = 'pg-migration test of locks' AND wait_event_type = 'Lock'";
        return (await newer.query(waiting, { database: source })).length > 0;
      });
      await newer.query("SET lock_timeout = '10s'; ALTER TABLE first ADD COLUMN later int", { database: source });
      await obstacle.query("ROLLBACK");
      assert.ok((await compared).every(({ equal }) => equal));
    } finally {
      await obstacle.end();
    }
  }

  it("keeps no lock on a table that was read while it waits for another", () => lockedTable(1000));
  it("keeps no lock on other small tables while it waits for one of them", () => lockedTable(1));

  it("ends with an error if a connection silently breaks in the middle", async () => {
    const [source, target] = await Promise.all([
      freshDatabase(older, `${small}; ${fill}`),
      freshDatabase(newer, `${small}; ${fill}`),
    ]);
    const proxy = await CuttableProxy.to({ ...newer.login, sslMode: "Disable" });
    const obstacle = await newer.connect(target);
    try {
      await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
      const openTarget = () =>
        connect(proxy.endpoint, { database: target, purpose: "test of a line", patienceMs: 200 });
      const compared = compare([older, source], [newer, target], { openTarget });
      compared.catch(() => undefined);
      await until("a table is read there", async () => {
        const waiting =
          "SELECT FROM pg_stat_activity WHERE application_name = 'pg-migration test of a line' AND wait_event_type = 'Lock'";
        return (await newer.query(waiting, { database: target })).length > 0;
      });
      proxy.swallow();
      await obstacle.query("COMMIT");
      await assert.rejects(
        compared,
        (error: Error) => error instanceof UnreachableError && error.message.includes("is dead"),
      );
    } finally {
      await obstacle.end();
      await proxy.close();
    }
  });

  const values = (id: string): string => `${id}, 'v' || ${id}, ${id} / 10.0::float8`;
  const small = "CREATE TABLE t (id int PRIMARY KEY, v text, f float8)";
  const fill = `INSERT INTO t SELECT ${values("i")} FROM generate_series(1, 5000) i`;

  it("finds equal rows equal, also for versions that print floats differently", async () => {
    const [source, target] = [
      [older, await freshDatabase(older, everyTypeSchema, everyTypeInserts)],
      [newer, await freshDatabase(newer, everyTypeSchema, everyTypeInserts)],
    ] as const;
    assert.deepEqual(await compare(source, target), [
      {
        schema: "public",
        table: "every_type",
        sourceRows: 4,
        targetRows: 4,
        by: "content",
        equal: true,
        firstDifferences: [],
      },
    ]);
  });

  it("considers NaN equal whatever their sign bit, which text format loses", async () => {
    const schema = `CREATE DOMAIN d AS float8; CREATE TYPE pair AS (a float8, b real[]);
      CREATE TABLE t (id int PRIMARY KEY, f float8, r real, a float8[], o d, p pair); CREATE TABLE other (a float8[])`;
    const rows = (nan: string, inOther: number): string =>
      `INSERT INTO t VALUES (1, ${nan}, ${nan}, ARRAY[1, ${nan}, NULL], ${nan}, ROW(${nan}, ARRAY[[${nan}, 0]])), (2, 0, NULL, '{}', NULL, NULL);
       INSERT INTO other VALUES (ARRAY[${nan}, ${inOther}])`;
    const [source, target] = await Promise.all([
      freshDatabase(older, `${schema}; ${rows("-'NaN'::float8", 1)}`),
      freshDatabase(newer, `${schema}; ${rows("'NaN'::float8", 2)}`),
    ]);
    const sent = "SELECT float8send(f) AS sent FROM t WHERE id = 1";
    const [one, another] = [
      await older.query(sent, { database: source }),
      await newer.query(sent, { database: target }),
    ];
    assert.notDeepEqual(one, another);
    const results = await compare([older, source], [newer, target]);
    assert.deepEqual(results.map(({ table, equal }) => [table, equal]).sort(), [
      ["other", false],
      ["t", true],
    ]);
  });

  it("does not depend on encodings", async () => {
    const latin = `db_${randomBytes(5).toString("hex")}`;
    await older.query(`CREATE DATABASE ${latin} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'`);
    const shape = `CREATE TABLE t (id int, v text, n name, j jsonb); INSERT INTO t VALUES (1, 'éü', 'é', '"é"')`;
    await older.query(shape, { database: latin });
    const target = await freshDatabase(newer, shape);
    assert.equal((await compare([older, latin], [newer, target]))[0]!.equal, true);
  });

  it("reports how to find the session that holds a lock when the wait for it expires", async () => {
    const [database, other] = [await freshDatabase(newer, small, fill), await freshDatabase(newer, small, fill)];
    const obstacle = await newer.connect(other);
    await obstacle.query("BEGIN; LOCK TABLE t");
    const openTarget = async () => {
      const session = await open(newer, other);
      await session.query("SET lock_timeout = '100ms'");
      return session;
    };
    await assert.rejects(compare([newer, database], [newer, other], { openTarget }), (error: Error) => {
      assert.ok(error instanceof RefusedError);
      assert.match(error.message, /comparing "public"\."t", the target: .*lock timeout[^]*pg_locks/);
      return true;
    });
    await obstacle.end();
  });

  it("detects a single different value of any type", async () => {
    // Each column of each row in turn gets the value of another row.
    for (const source of [older, newer]) {
      const sourceDatabase = await freshDatabase(source, everyTypeSchema, everyTypeInserts);
      const targetDatabase = await freshDatabase(newer, everyTypeSchema, everyTypeInserts);
      const session = await open(source, sourceDatabase);
      const changed = await open(newer, targetDatabase);
      const tables = [{ table: (await listSizedTables(session))[0]!, condition: undefined }];
      const openSource = async () => noEnd(session);
      const openTarget = async () => noEnd(changed);
      let changes = 0;
      try {
        for (const { name } of tables[0]!.table.columns.filter((column) => column.name !== "id")) {
          for (const [row, other] of [
            [0, 2],
            [2, 1],
            [3, 0],
          ]) {
            const column = quoteIdentifier(name);
            await changed.query("BEGIN");
            const { rowCount } = await changed.query(
              `UPDATE public.every_type AS mine SET ${column} = theirs.${column} FROM public.every_type AS theirs
                WHERE mine.id = ${row} AND theirs.id = ${other}
                  AND mine.${column}::text IS DISTINCT FROM theirs.${column}::text`,
            );
            if (rowCount === 1) {
              changes++;
              const [result] = await compareTables({
                ...{ openSource, openTarget, tables, mode: "content", jobs: 1 },
                underSnapshots: ["target"],
              });
              assert.deepEqual(result!.firstDifferences, [{ key: `id = ${row}`, kind: "different" }], name);
            }
            await changed.query("ROLLBACK");
          }
        }
        assert.ok(changes > 120, `${changes} changes`);
      } finally {
        await Promise.all([session.end(), changed.end()]);
      }
    }
  });

  it("distinguishes NULL, '', 'NULL', shifted borders, signed zeros, scales and duplicates", async () => {
    const shape = "CREATE TABLE t (a text, b text, f float8, n numeric, fs float4[], x xml)";
    const rows = [
      ...["(NULL, '', 0, 1, '{0}', '')", "('', NULL, 0, 1, '{0}', '')", "('NULL', '', 0, 1, '{0}', '')"],
      ...["('a', 'bc', 0, 1, '{0}', '')", "('ab', 'c', 0, 1, '{0}', '')", "('a,b', 'c', 0, 1, '{0}', '')"],
      ...["('a', 'b,c', 0, 1, '{0}', '')", "('a', 'b', '-0', 1, '{0}', '')", "('a', 'b', 0, 1.0, '{0}', '')"],
      ...["('a', 'b', 0, 1, '{-0}', '')", "('a', 'b', 0, 1, '{{0}}', '')", "('a', 'b', 0, 1, '[0:0]={0}', '')"],
      ...["('a', 'b', 0, 1, '{0}', NULL)", "('b', 'a', 0, 1, '{0}', '')", "('a', 'b', 0, 1, '{0}', '')"],
    ];
    const source = await freshDatabase(older, shape);
    const target = await freshDatabase(newer, shape);
    const content = fc.array(fc.integer({ min: 0, max: rows.length - 1 }), { maxLength: 6 });
    const sorted = (some: number[]): string => JSON.stringify([...some].sort((a, b) => a - b));
    const put = (server: EmbeddedServer, database: string, some: number[]) =>
      server.query(`TRUNCATE t; ${some.map((row) => `INSERT INTO t VALUES ${rows[row]!};`).join("")}`, { database });
    await fc.assert(
      fc.asyncProperty(content, fc.option(content), async (one, other) => {
        const shuffled = other ?? [...one].reverse();
        await Promise.all([put(older, source, one), put(newer, target, shuffled)]);
        const [result] = await compare([older, source], [newer, target], { jobs: 1 });
        assert.equal(result!.equal, sorted(one) === sorted(shuffled));
        assert.equal(result!.firstDifferences.length > 0, !result!.equal);
      }),
      { numRuns: 25, examples: rows.slice(1).map((_, i) => [[i], [i + 1]] as [number[], number[]]) },
    );
  });

  it("reports the first rows that are missing, unexpected or different", async () => {
    const source = await freshDatabase(older, small, fill);
    const change = "UPDATE t SET v = 'other' WHERE id = 4000; DELETE FROM t WHERE id = 7; INSERT INTO t VALUES (9000)";
    const target = await freshDatabase(newer, small, fill, change);
    const compared = await compare([older, source], [newer, target]);
    assert.deepEqual(compared[0], {
      schema: "public",
      table: "t",
      sourceRows: 5000,
      targetRows: 5000,
      by: "content",
      equal: false,
      firstDifferences: [
        { key: "id = 7", kind: "missing" },
        { key: "id = 4000", kind: "different" },
        { key: "id = 9000", kind: "unexpected" },
      ],
    });
    const error = contentDiffers("shop", compared, [{ kind: "index", name: "public.i", id: "1259/1" }]);
    assert.ok(error instanceof ContentDiffersError);
    assert.match(error.message, /shop: .*not equal/);
    assert.match(error.message, /"public"\."t": 5000 rows on both sides.*missing \(id = 7\), different \(id = 4000\)/);
    assert.match(error.message, /index public\.i is missing/);
    assert.equal(contentDiffers("shop", [{ ...compared[0], equal: true }]), undefined);

    await newer.query("TRUNCATE t", { database: target });
    const [empty] = await compare([older, source], [newer, target]);
    assert.equal(empty!.targetRows, 0);
    assert.equal(empty!.firstDifferences.length, 10);
  });

  it("identifies rows of a table without a key by their content, including duplicates", async () => {
    const shape = "CREATE TABLE t (v text, f float8)";
    const source = await freshDatabase(
      older,
      shape,
      "INSERT INTO t VALUES ('twice', 0.1), ('twice', 0.1), ('once', 1)",
    );
    const target = await freshDatabase(newer, shape, "INSERT INTO t VALUES ('twice', 0.1), ('once', 1), ('more', 2)");
    const [compared] = await compare([older, source], [newer, target]);
    assert.deepEqual(compared!.firstDifferences, [
      { key: "(more,2)", kind: "unexpected" },
      { key: "(twice,0.100000000000000006)", kind: "missing" },
    ]);
  });

  it("adds up the checksums of parts that several sessions read", async () => {
    for (const from of [older, newer]) {
      const source = await freshDatabase(from, small, fill);
      const target = await freshDatabase(
        newer,
        small,
        fill,
        "DELETE FROM t WHERE id = 5000; UPDATE t SET v = 'x' WHERE id = 1",
      );
      let parts = 0;
      const options = { splitBytes: 20_000, jobs: 3, onProgress: () => (parts += 1) };
      const [compared] = await compare([from, source], [newer, target], options);
      assert.ok(parts >= 20, `${parts} parts`);
      assert.deepEqual([compared!.sourceRows, compared!.targetRows], [5000, 4999]);
      assert.deepEqual(compared!.firstDifferences, [
        { key: "id = 1", kind: "different" },
        { key: "id = 5000", kind: "missing" },
      ]);
      const same = await compare([from, source], [from, source], options);
      assert.equal(same[0]!.equal, true);
    }
  });

  it("only counts rows if counts were requested", async () => {
    const source = await freshDatabase(older, small, fill);
    const target = await freshDatabase(newer, small, fill, "UPDATE t SET v = ''");
    assert.equal((await compare([older, source], [newer, target], { mode: "counts" }))[0]!.equal, true);
    await newer.query("DELETE FROM t WHERE id = 1", { database: target });
    const [compared] = await compare([older, source], [newer, target], { mode: "counts" });
    assert.deepEqual([compared!.equal, compared!.sourceRows, compared!.targetRows], [false, 5000, 4999]);
  });

  it("compares only the rows of a condition, and reports its progress", async () => {
    const source = await freshDatabase(older, small, fill);
    const target = await freshDatabase(newer, small, fill, "DELETE FROM t WHERE id <= 100");
    const session = await open(older, source);
    const tables = (await listSizedTables(session)).map((table) => ({ table, condition: "id > 100" }));
    await session.end();
    const progress: number[] = [];
    const onProgress = ({ bytesCompared, bytesTotal }: BytesCompared): void =>
      void progress.push(bytesCompared / bytesTotal);
    const [compared] = await compare([older, source], [newer, target], { tables, onProgress });
    assert.deepEqual([compared!.equal, compared!.sourceRows], [true, 4900]);
    assert.deepEqual(progress, [0.5, 1]);
  });

  it("counts the rows of tables beyond the budget, largest first, and reports it", async () => {
    const tables = "CREATE TABLE small (id int PRIMARY KEY, v text); INSERT INTO small VALUES (1, 'a');";
    const source = await freshDatabase(older, tables, small, fill);
    const target = await freshDatabase(newer, tables, small, fill);
    const within = async (seconds: number): Promise<[string, string, boolean][]> => {
      const session = await open(older, source);
      const sized = await listSizedTables(session);
      await session.end();
      const results = await compareWithinBudget(
        {
          openSource: async () => {
            const opened = await open(older, source);
            await opened.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
            return opened;
          },
          underSnapshots: ["source"],
          openTarget: () => open(newer, target),
          tables: sized.map((table) => ({ table, condition: undefined })),
          jobs: 1,
        },
        seconds,
      );
      return results.map(({ table, by, equal }): [string, string, boolean] => [table, by, equal]).sort();
    };
    const obstacle = await newer.connect(target);
    await obstacle.query("BEGIN; LOCK TABLE t");
    const compared = within(8);
    // The comparison of content waits until the budget is spent; only the count gets the lock.
    const waiting = async (): Promise<number | undefined> =>
      (await newer.query<{ pid: number }>("SELECT pid FROM pg_locks WHERE NOT granted", { database: target }))[0]?.pid;
    let first: number | undefined;
    await until("the content waits for the lock", async () => (first = await waiting()) !== undefined);
    await until("the budget is spent", async () => (await waiting()) !== first);
    await obstacle.end();
    assert.deepEqual(await compared, [
      ["small", "content", true],
      ["t", "counts", true],
    ]);
    await newer.query("UPDATE small SET v = 'b'; DELETE FROM t WHERE id > 1", { database: target });
    assert.deepEqual(await within(1e-6), [
      ["small", "counts", true],
      ["t", "counts", false],
    ]);
    assert.deepEqual(await within(1e9), [
      ["small", "content", false],
      ["t", "content", false],
    ]);
  });

  it("does not start a table that needs more than the remaining time at the measured rate", () => {
    const budget = new ContentBudget(1000);
    const megabyte = 1 << 20;
    assert(budget.admits("source", 0, 1e15, 1), "nothing was measured yet");
    budget.measured("source", 8192, 10);
    assert(budget.admits("source", 1, 1e15, 1), "a small table does not give a rate");
    budget.measured("source", 100 * megabyte, 1);
    assert(budget.admits("source", 2, 90_000 * megabyte, 1));
    assert(!budget.admits("source", 3, 101_000 * megabyte, 1));
    assert(budget.admits("source", 4, 101_000 * megabyte, 2), "two sessions read it");
    assert(!budget.admits("target", 3, 1, 1), "a table that the source does not compare is not read on the target");
    assert(budget.admits("target", 5, 1e15, 1));
  });

  it("fails if a table is missing, and stops on a signal", async () => {
    const source = await freshDatabase(older, small, fill);
    const target = await freshDatabase(newer);
    await assert.rejects(compare([older, source], [newer, target]), (error: Error) => {
      assert.ok(error instanceof RefusedError, String(error));
      assert.match(error.message, /"public"\."t", the target: .*does not exist/);
      return true;
    });
    await newer.query(small, { database: target });
    const obstacle = await newer.connect(target);
    await obstacle.query("BEGIN; LOCK TABLE t");
    await assert.rejects(
      compare([older, source], [newer, target], { signal: AbortSignal.timeout(500) }),
      CanceledError,
    );
    await obstacle.end();
  });

  it("stops on a signal while the source does not let it divide a table into parts", async () => {
    // Without a histogram, the key's limits are read from the table.
    const source = await freshDatabase(older, `${small} WITH (autovacuum_enabled = false)`, fill);
    const target = await freshDatabase(newer, small, fill);
    const session = await open(older, source);
    const tables = (await listSizedTables(session)).map((table) => ({ table, condition: undefined }));
    await session.end();
    const obstacle = await older.connect(source);
    await obstacle.query("BEGIN; LOCK TABLE t");
    const stop = new AbortController();
    const compared = compare([older, source], [newer, target], { tables, splitBytes: 1, signal: stop.signal });
    let failure: unknown;
    compared.catch((error: unknown) => (failure = error));
    try {
      await until("the division waits for the lock", async () => {
        const waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 't'::regclass";
        return (await older.query(waiting, { database: source })).length > 0;
      });
      stop.abort();
      await until("the comparison has ended", () => failure !== undefined, 20);
      assert.ok(failure instanceof CanceledError);
    } finally {
      await obstacle.end();
      await compared.catch(() => undefined);
    }
  });
});

/** A session that its user does not close. */
function noEnd<Session extends { end: () => Promise<void> }>(session: Session): Session {
  return new Proxy(session, {
    get: (of, name) => {
      if (name === "end") return () => Promise.resolve();
      const value: unknown = Reflect.get(of, name);
      return typeof value === "function" ? (value.bind(of) as unknown) : value;
    },
  });
}
