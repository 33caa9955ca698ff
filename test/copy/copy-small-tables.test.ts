import assert from "node:assert/strict";
import { copySmallTables, copyTable, emptyTarget, type TableRows } from "../../provider/src/copy/copy-table";
import { RefusedError } from "../../provider/src/errors";
import { connect } from "../../provider/src/postgres/connection/connect";
import { listSizedTables } from "../../provider/src/postgres/tables";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { assertSameContent } from "../support/content";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { endpointOf, freshDatabase, withSessions } from "./pairs";

const shape = `
  CREATE TABLE empty (v text); CREATE TABLE columnless (); CREATE TABLE few (id int, v text); CREATE TABLE "O'Dd" (v text);
  CREATE TABLE ten (id int, v text)`;
const rows = `
  INSERT INTO columnless SELECT FROM generate_series(1, 3);
  INSERT INTO few SELECT i, md5(i::text) FROM generate_series(1, 500) i;
  INSERT INTO "O'Dd" VALUES ('one;'), (NULL);
  INSERT INTO ten SELECT i, md5(i::text) FROM generate_series(1, 10) i`;

describe("small tables copied together", () => {
  let sourceServer: EmbeddedServer;
  let targetServer: EmbeddedServer;

  before(async () => {
    [sourceServer, targetServer] = await Promise.all([
      EmbeddedServer.start({ major: 10 }),
      EmbeddedServer.start({ major: 18 }),
    ]);
  });
  after(() => Promise.all([sourceServer.stop(), targetServer.stop()]));

  async function rowsOf(client: Parameters<typeof listSizedTables>[0]): Promise<TableRows[]> {
    const tables = await listSizedTables(client);
    // Both formats alternate: each copy has its own.
    return tables.map((table, n) => ({ table, format: n % 2 === 0 ? "binary" : "text", condition: undefined }));
  }

  it("are counted and stored separately, and can be copied again", async () => {
    const from = await freshDatabase(sourceServer, shape, rows);
    const into = await freshDatabase(targetServer, shape);
    await withSessions([sourceServer, from], [targetServer, into], async (source, target) => {
      const tables = await rowsOf(source);
      for (let time = 0; time < 2; time++) {
        const copied = await copySmallTables(tables, { source, target });
        const counts = copied.map((each, position) => [tables[position]!.table.name, each.rows]);
        assert.deepEqual(Object.fromEntries(counts), { empty: 0, columnless: 3, few: 500, "O'Dd": 2, ten: 10 });
      }
    });
    await assertSameContent({ server: sourceServer, database: from }, { server: targetServer, database: into });
  });

  it("replace rows of tables without key although the target publishes all tables", async () => {
    const from = await freshDatabase(sourceServer, shape, rows);
    const into = await freshDatabase(
      targetServer,
      shape,
      "INSERT INTO few VALUES (0, 'former'); CREATE PUBLICATION everything FOR ALL TABLES",
    );
    await withSessions([sourceServer, from], [targetServer, into], async (source, target) => {
      const tables = await rowsOf(source);
      for (let time = 0; time < 2; time++) await copySmallTables(tables, { source, target });
      for (const { table, format } of tables) await copyTable({ source, target, table, format });
      for (const { table } of tables) await emptyTarget(target, table);
      await copySmallTables(tables, { source, target });
    });
    await assertSameContent({ server: sourceServer, database: from }, { server: targetServer, database: into });
  });

  it("replace rows of a referenced table without key although the target publishes another table", async () => {
    const referenced = `CREATE TABLE parent (id int UNIQUE); CREATE TABLE child (id int REFERENCES parent (id));
      CREATE TABLE published (id int)`;
    const from = await freshDatabase(
      sourceServer,
      referenced,
      "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1)",
    );
    const into = await freshDatabase(
      targetServer,
      referenced,
      "INSERT INTO parent VALUES (2); INSERT INTO child VALUES (2); CREATE PUBLICATION other FOR TABLE published",
    );
    await withSessions([sourceServer, from], [targetServer, into], async (source, target) => {
      await target.query("SET session_replication_role = replica");
      const tables = await rowsOf(source);
      await copySmallTables(tables, { source, target });
      for (const { table, format } of tables) await copyTable({ source, target, table, format });
      for (const { table } of tables) await emptyTarget(target, table);
      await copySmallTables(tables, { source, target });
    });
    await assertSameContent({ server: sourceServer, database: from }, { server: targetServer, database: into });
  });

  it("copy only the rows of a condition, and replace only those", async () => {
    const from = await freshDatabase(sourceServer, shape, rows);
    const into = await freshDatabase(targetServer, shape, "INSERT INTO ten VALUES (1, 'kept'), (9, 'replaced')");
    await withSessions([sourceServer, from], [targetServer, into], async (source, target) => {
      const all = await rowsOf(source);
      const tables = all.map((each) => ({ ...each, condition: each.table.name === "ten" ? "id > 8" : undefined }));
      await copySmallTables(tables, { source, target });
      const { rows: left } = await target.query("SELECT id FROM public.ten ORDER BY id");
      assert.deepEqual(left, [{ id: 1 }, { id: 9 }, { id: 10 }]);
    });
  });

  it("take no more round trips for 40 tables than for four", async () => {
    const roundTrips = async (count: number): Promise<number> => {
      const tables = Array.from({ length: count }, (_, n) => `CREATE TABLE t${n} (id int)`).join(";");
      const filled = `DO $$ BEGIN FOR n IN 0..${count - 1} LOOP EXECUTE format('INSERT INTO t%s VALUES (1)', n); END LOOP; END $$`;
      const ends = [
        { server: sourceServer, database: await freshDatabase(sourceServer, tables, filled) },
        { server: targetServer, database: await freshDatabase(targetServer, tables) },
      ] as const;
      const proxies = await Promise.all(ends.map(({ server }) => CuttableProxy.to(endpointOf(server))));
      const [source, target] = await Promise.all(
        proxies.map(({ endpoint }, n) => connect(endpoint, { database: ends[n]!.database, purpose: "test" })),
      );
      try {
        const small = await rowsOf(source!);
        const before = proxies.map(({ queries }) => queries);
        await copySmallTables(small, { source: source!, target: target! });
        return proxies.reduce((sum, { queries }, n) => sum + queries - before[n]!, 0);
      } finally {
        await Promise.all([source!.end(), target!.end()]);
        await Promise.all(proxies.map((proxy) => proxy.close()));
      }
    };
    const few = await roundTrips(4);
    assert(few > 0);
    assert.equal(await roundTrips(40), few);
  });

  for (const side of ["target", "source"] as const)
    it(`leave no rows if the ${side} refuses one table, and name that table`, async () => {
      const from = await freshDatabase(sourceServer, shape, rows);
      const into = await freshDatabase(targetServer, shape);
      if (side === "target") await targetServer.query("ALTER TABLE few ADD CHECK (id < 400)", { database: into });
      else await sourceServer.query("ALTER TABLE few RENAME TO gone", { database: from });
      await withSessions([sourceServer, from], [targetServer, into], async (source, target) => {
        const tables = await rowsOf(side === "target" ? source : target);
        let failed = -1;
        const copy = copySmallTables(tables, { source, target, onFailed: (position) => (failed = position) });
        await assert.rejects(copy, (error: Error) => {
          assert(error instanceof RefusedError);
          assert.match(error.message, /^copying "public"\."few" stopped/);
          return true;
        });
        assert.equal(tables[failed]?.table.name, "few");
        for (const { table } of tables) {
          const { rowCount } = await target.query(`SELECT FROM public."${table.name}"`);
          assert.equal(rowCount, 0, table.name);
        }
        // Both sessions can be used.
        await source.query("SELECT");
        if (side === "target")
          await copySmallTables(
            tables.filter(({ table }) => table.name !== "few"),
            { source, target },
          );
      });
    });
});
