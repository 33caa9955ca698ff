import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { catalogue, nameOf } from "../../tools/adventureworks/catalogue";
import {
  createAdventureWorks,
  DatabaseNotEmptyError,
  InvalidScaleError,
  type Progress,
} from "../../tools/adventureworks/create-adventureworks";
import { quoted } from "../../tools/adventureworks/schema/tables";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { countIn, createAt, createOnEmptyServer } from "./created";

const schemas = ["humanresources", "person", "production", "purchasing", "sales"];
const main = join(__dirname, "../../tools/adventureworks/main.ts");

/** A digest of each table's rows that does not depend on their order. */
async function checksums(server: EmbeddedServer, database: string): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const table of catalogue.tables) {
    const [row] = await server.query<{ digest: string }>(
      `SELECT md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) AS digest FROM ${quoted(nameOf(table))} t`,
      { database },
    );
    digests[nameOf(table)] = row!.digest;
  }
  return digests;
}

describe("AdventureWorks on PostgreSQL 14", () => {
  let server: EmbeddedServer;
  const database = "adventureworks";
  const query = <Row extends Record<string, unknown>>(sql: string) => server.query<Row>(sql, { database });
  const constraints = async (type: string) =>
    query<{ name: string }>(
      `SELECT conname AS name FROM pg_constraint JOIN pg_namespace n ON n.oid = connamespace
        WHERE nspname IN ('${schemas.join("', '")}') AND contype = '${type}' AND convalidated`,
    );

  before(async () => {
    server = await EmbeddedServer.start({ major: 14 });
    await createAt(server, database, 0.02);
  });
  after(() => server.stop());

  it("has the catalogue's tables, in five schemas", async () => {
    const tables = await query<{ name: string }>(
      `SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname IN ('${schemas.join("', '")}')`,
    );
    assert.deepEqual(tables.map((table) => table.name).sort(), catalogue.tables.map(nameOf).sort());
    assert.equal(tables.length, 68);
    assert.deepEqual([...new Set(catalogue.tables.map((table) => table.schema))].sort(), schemas);
  });

  it("has the catalogue's columns, with their types and defaults", async () => {
    const columns = await query<{ name: string; type: string; default: string | null; notnull: boolean }>(
      `SELECT attrelid::regclass || '.' || attname AS name, format_type(atttypid, atttypmod) AS type,
              pg_get_expr(adbin, adrelid) AS default, attnotnull AS notnull
         FROM pg_attribute JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relkind = 'r' AND attnum > 0 AND relnamespace::regnamespace::text IN ('${schemas.join("', '")}')
        ORDER BY c.relnamespace::regnamespace::text, relname, attnum`,
    );
    const expected = [...catalogue.tables]
      .sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1))
      .flatMap((table) =>
        table.columns.map((column) => ({
          name: `${nameOf(table)}.${column.name}`,
          type: column.type,
          default: column.default ?? null,
          notnull: column.notNull,
        })),
      );
    assert.deepEqual(columns, expected);
  });

  it("has a primary key on every table, and the catalogue's foreign keys, all validated", async () => {
    assert.equal((await constraints("p")).length, 68);
    const expected = catalogue.tables.reduce((sum, table) => sum + table.foreignKeys.length, 0);
    assert.equal((await constraints("f")).length, expected);
    assert.ok((await constraints("c")).length > 30);
  });

  it("has the catalogue's views, and each returns rows with an empty search path", async () => {
    const views = await query<{ name: string; kind: string }>(
      `SELECT relnamespace::regnamespace || '.' || relname AS name, relkind AS kind FROM pg_class
        WHERE relkind IN ('v', 'm') AND relnamespace::regnamespace::text IN ('${schemas.join("', '")}')`,
    );
    const named = (kind: string) => views.filter((view) => view.kind === kind).map((view) => view.name);
    assert.deepEqual(named("v").sort(), [...catalogue.views].sort());
    assert.deepEqual(named("m").sort(), [...catalogue.materializedViews].sort());
    for (const view of views) {
      const rows = await query(`SET search_path = ''; SELECT * FROM ${view.name}`);
      assert.ok(rows.length > 0, view.name);
    }
  });

  it("can refresh its materialized views with an empty search path", async () => {
    for (const view of catalogue.materializedViews) {
      await query(`SET search_path = ''; REFRESH MATERIALIZED VIEW CONCURRENTLY ${view}`);
      const [first] = await query(`SELECT FROM ${view} LIMIT 1`);
      assert(first, `${view} is empty`);
    }
  });

  it("uses both extensions in the schema public", async () => {
    const extensions = await query<{ name: string }>(
      "SELECT extname AS name FROM pg_extension WHERE extnamespace = 'public'::regnamespace ORDER BY extname",
    );
    assert.deepEqual(extensions, [{ name: "tablefunc" }, { name: "uuid-ossp" }]);
    const sales = await query<Record<string, string>>("SELECT * FROM sales.vsalespersonsalesbyfiscalyears");
    assert.ok(sales.some((row) => Number(row["2013"]) > 0));
    const [added] = await query<{ rowguid: string }>(
      "INSERT INTO person.addresstype (name) VALUES ('Holiday') RETURNING rowguid",
    );
    assert.match(added!.rowguid, /^\w{8}-\w{4}-1/);
    await query("DELETE FROM person.addresstype WHERE name = 'Holiday'");
  });

  it("has the catalogue's domains", async () => {
    const domains = await query(
      `SELECT typname AS name, format_type(typbasetype, typtypmod) AS type, typnamespace::regnamespace::text AS schema,
              typnotnull AS "notNull" FROM pg_type WHERE typtype = 'd' AND typnamespace = 'public'::regnamespace
        ORDER BY typname`,
    );
    assert.deepEqual(domains, catalogue.domains);
  });

  it("has sixteen departments, and accepts a seventeenth with default values", async () => {
    const departments = await query("SELECT departmentid, name, groupname FROM humanresources.department ORDER BY 1");
    assert.deepEqual(departments, catalogue.departments);
    const [next] = await query<{ id: number }>(
      "SELECT nextval('humanresources.department_departmentid_seq')::integer AS id",
    );
    assert.equal(next!.id, 17);
    await query("INSERT INTO humanresources.department VALUES (17, 'Logistics', 'Inventory Management', DEFAULT)");
    await query("DELETE FROM humanresources.department WHERE departmentid = 17");
  });

  it("has sequences that are owned by their columns and are past the last value", async () => {
    const owned = await query<{ sequence: string; relation: string; column: string }>(
      `SELECT objid::regclass::text AS sequence, refobjid::regclass::text AS relation, attname AS column
         FROM pg_depend JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
        WHERE classid = 'pg_class'::regclass AND deptype = 'a'
          AND objid IN (SELECT oid FROM pg_class WHERE relkind = 'S')`,
    );
    assert.equal(owned.length, 36);
    for (const { sequence, relation, column } of owned) {
      const [row] = await query<{ past: boolean }>(
        `SELECT nextval('${sequence}') > max("${column}") AS past FROM ${relation}`,
      );
      assert.ok(row!.past, sequence);
    }
  });

  it("has order totals that are the sums of their lines", async () => {
    const [row] = await query<{ wrong: number; orders: number }>(
      `SELECT count(*) FILTER (WHERE subtotal <> lines)::integer AS wrong, count(*)::integer AS orders
         FROM sales.salesorderheader
         JOIN (SELECT salesorderid, sum(sales.linetotal(orderqty, unitprice, unitpricediscount)) AS lines
                 FROM sales.salesorderdetail GROUP BY salesorderid) d USING (salesorderid)`,
    );
    assert.deepEqual(row, { wrong: 0, orders: await countIn(server, database, "sales.salesorderheader") });
  });

  it("has documents and photographs of several sizes", async () => {
    const [row] = await query<{ photo: number; document: number; resume: number }>(
      `SELECT max(length(largephoto)) AS photo, (SELECT max(length(document)) FROM production.document) AS document,
              (SELECT max(length(resume::text)) FROM humanresources.jobcandidate) AS resume FROM production.productphoto`,
    );
    assert.ok(row!.photo > 8_000 && row!.document >= 10_000 && row!.resume > 1_000, JSON.stringify(row));
  });

  it("has the same content when it is created again", async () => {
    await createAt(server, "again", 0.02);
    assert.deepEqual(await checksums(server, "again"), await checksums(server, database));
  });

  it("is refused in a database that already has it, which stays unchanged", async () => {
    const before = await countIn(server, database, "sales.salesorderdetail");
    await assert.rejects(createAdventureWorks({ ...server.login, database }, { scale: 0.01 }), (error: Error) => {
      assert.ok(error instanceof DatabaseNotEmptyError);
      assert.match(
        error.message,
        /database adventureworks already has .*sales.*: AdventureWorks needs an empty database/,
      );
      return true;
    });
    assert.equal(await countIn(server, database, "sales.salesorderdetail"), before);
  });

  for (const scale of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    it(`is refused at scale ${scale}`, async () => {
      await assert.rejects(createAdventureWorks({ ...server.login, database }, { scale }), InvalidScaleError);
    });
  }

  it("can be created by an owner of the database who is not a superuser", async () => {
    await server.query("CREATE ROLE owner LOGIN PASSWORD 'owner'");
    await server.query("CREATE DATABASE owned OWNER owner");
    const login = { ...server.login, user: "owner", password: "owner", database: "owned" };
    const created = await createAdventureWorks(login, { scale: 0.001 });
    assert.equal(created.tables, 68);
  });

  it("reports the server's error if a load fails", async () => {
    await server.query("CREATE ROLE stranger LOGIN PASSWORD 'stranger'");
    const login = { ...server.login, user: "stranger", password: "stranger", database: "postgres" };
    await assert.rejects(createAdventureWorks(login, { scale: 0.001 }), /permission denied/);
  });

  it("reports the progress of its creation up to the last row", async () => {
    await server.query("CREATE DATABASE progress");
    const seen: Progress[] = [];
    const created = await createAdventureWorks(
      { ...server.login, database: "progress" },
      { scale: 0.001, onProgress: (progress) => seen.push(progress) },
    );
    assert.equal(seen.filter(({ step }) => catalogue.tables.some((table) => nameOf(table) === step)).length, 68);
    assert.equal(seen.at(-1)!.rows, created.rows);
    assert.equal(seen.at(-1)!.totalRows, created.rows);
  });

  it("is created in a new database by its command", async () => {
    const { host, port, user, password } = server.login;
    const login = ["--host", host, "--port", String(port), "--user", user, "--database", "by command"];
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--import", "tsx", main, ...login, "--scale", "0.001", "--create-database"],
      { env: { ...process.env, PGPASSWORD: password } },
    );
    assert.match(stdout, /100 % {2}foreign keys are checked\n/);
    assert.match(stdout, /68 tables with \d+ rows in [\d.]+ s\n$/);
    assert.equal(await countIn(server, "by command", "humanresources.department"), 16);
  });
});

createOnEmptyServer(10);
createOnEmptyServer(18);
