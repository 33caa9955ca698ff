import assert from "node:assert/strict";
import { assertSameContent, digests } from "../support/content";
import { Lab } from "../support/lab";
import { reportOf } from "../support/report";
import { Resource } from "../support/resource";

const shop = `
  CREATE SCHEMA sales; CREATE SCHEMA audit; CREATE EXTENSION tablefunc;
  CREATE TYPE audit.level AS ENUM ('low', 'high');
  CREATE TABLE sales.customer (id serial PRIMARY KEY, name text); INSERT INTO sales.customer (name) SELECT 'c' || i FROM generate_series(1, 300) i;
  CREATE TABLE sales.orders (id serial PRIMARY KEY, customer int REFERENCES sales.customer, v text);
  INSERT INTO sales.orders (customer, v) SELECT 1 + i % 300, md5(i::text) FROM generate_series(1, 5000) i;
  CREATE INDEX ON sales.orders (v);
  CREATE TABLE audit.log (id int PRIMARY KEY, l audit.level); INSERT INTO audit.log VALUES (1, 'low');
  CREATE VIEW sales.recent AS SELECT o.id, c.name FROM sales.orders o JOIN sales.customer c ON c.id = o.customer;
  CREATE VIEW sales.logged AS SELECT id FROM audit.log;
  CREATE VIEW sales.logged_twice AS SELECT id + 1 AS id FROM sales.logged;
  ANALYZE;`;

const messages = ({ status }: Resource): string =>
  status.currentSubStateDetails
    .validationDetails!.dbLevelValidationDetails.flatMap(({ summary }) => summary.flatMap((one) => one.messages))
    .map(({ state, message }) => `${state}: ${message}`)
    .join("\n");

describe("a migration of a selection", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 }, target: { major: 17 } });
  });
  after(() => lab.stop());

  /** Migrates the shop, runs the body, and destroys the migration. */
  async function migrated(
    changes: (database: string) => Record<string, unknown>,
    body: (database: string, resource: Resource) => Promise<void>,
  ): Promise<void> {
    const database = await lab.database(shop);
    const resource = new Resource();
    try {
      await resource.create(lab.inputs([database], changes(database)));
      await body(database, resource);
    } finally {
      await resource.destroy();
    }
  }

  const relations = async (database: string): Promise<string[]> => {
    const rows = await lab.target.query<{ name: string }>(
      `SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'v', 'm', 'S') AND n.nspname IN ('sales', 'audit', 'public') ORDER BY 1`,
      { database },
    );
    return rows.map(({ name }) => name);
  };

  it("omits a schema, and names the views that are omitted with it", async () => {
    await migrated(
      () => ({ exclude: { schemas: ["aud*"], extensions: ["tablefunc"] } }),
      async (database, resource) => {
        assert.deepEqual(await relations(database), [
          "sales.customer",
          "sales.customer_id_seq",
          "sales.orders",
          "sales.orders_id_seq",
          "sales.recent",
        ]);
        assert.match(messages(resource), /Warning: not migrated.*view sales\.logged, view sales\.logged_twice/);
        const { notMigrated } = await reportOf(lab, resource);
        const reasons = new Map(notMigrated.map(({ object, reason }) => [object, reason]));
        assert.match(reasons.get("extension tablefunc") ?? "", /not selected by include and exclude/);
        assert.match(reasons.get("view sales.logged_twice") ?? "", /depends on an object that is not selected/);
        const extensions = await lab.target.query("SELECT FROM pg_extension WHERE extname = 'tablefunc'", { database });
        assert.equal(extensions.length, 0);
      },
    );
  });

  it("omits a table with the foreign keys to it, and copies only included tables", async () => {
    await migrated(
      () => ({ include: { schemas: ["sales"] }, exclude: { tables: ["sales.cust*"] } }),
      async (database, resource) => {
        assert.deepEqual(await relations(database), ["sales.orders", "sales.orders_id_seq"]);
        assert.match(messages(resource), /constraint orders_customer_fkey on table sales\.orders/);
        const [source, target] = await Promise.all([
          digests({ server: lab.source, database }),
          digests({ server: lab.target, database }),
        ]);
        assert.equal(target["sales.orders"], source["sales.orders"]);
      },
    );
  });

  it("succeeds if the role may not read excluded tables", async () => {
    await lab.source.query("CREATE ROLE shopkeeper LOGIN PASSWORD 'shopkeeper'");
    const source = { ...lab.source.login, user: "shopkeeper", password: "shopkeeper" };
    const database = await lab.database(
      `${shop} CREATE TABLE sales."no"".one's *" (id serial PRIMARY KEY, v text); ALTER TABLE sales."no"".one's *" ENABLE ROW LEVEL SECURITY;
       CREATE TABLE sales.cost (id int REFERENCES sales."no"".one's *"); GRANT USAGE ON SCHEMA sales TO shopkeeper;
       GRANT SELECT ON sales.customer, sales.orders, sales.cost, sales.customer_id_seq, sales.orders_id_seq TO shopkeeper;`,
    );
    const resource = new Resource();
    await resource.create(lab.inputs([database], { source, exclude: { schemas: ["audit"], tables: ["sales.no*"] } }));
    const [expected, actual] = await Promise.all([
      digests({ server: lab.source, database }),
      digests({ server: lab.target, database }),
    ]);
    assert.deepEqual(Object.keys(actual).sort(), ["sales.cost", "sales.customer", "sales.orders"]);
    for (const table of Object.keys(actual)) assert.equal(actual[table], expected[table]);
    await resource.destroy();
  });

  it("refuses a filter that excludes the type of a copied column, before the start", async () => {
    const database = await lab.database(`${shop} CREATE TABLE sales.typed (l audit.level)`);
    const resource = new Resource();
    const text = await Resource.failure(resource.create(lab.inputs([database], { exclude: { schemas: ["audit"] } })));
    assert.match(text, /ValidationFailed[^]*filter leaves out objects that these need: table sales\.typed/);
    assert(!(await lab.targetDatabases()).includes(database));
    await resource.destroy();
  });

  it("copies a table in parts, each row once, to a database of another name", async () => {
    await migrated(
      (database) => ({ splitTablesLargerThan: "32kB", databaseNames: { [database]: `Other "${database}` } }),
      async (database, resource) => {
        const target = `Other "${database}`;
        await assertSameContent({ server: lab.source, database }, { server: lab.target, database: target });
        const details = resource.status.currentSubStateDetails.dbDetails[database]!;
        assert.equal(details.fullLoadCompletedTables, 3, "parts are not counted as tables");
        assert.equal(details.rowsCopied, 5301);
        const parts = await lab.target.query(
          "SELECT FROM pgmigration.copy_task WHERE condition IS NOT NULL AND migration = $1",
          { values: [resource.inputs.migrationName] },
        );
        assert(parts.length > 5, `${parts.length} parts`);
        assert(!(await lab.targetDatabases()).includes(database));
      },
    );
  });

  it("copies the schema alone, then the rows alone", async () => {
    const database = await lab.database(shop);
    const schema = new Resource();
    await schema.create(lab.inputs([database], { schemaOnly: true }));
    await schema.destroy();
    const [row] = await lab.target.query<{ n: string }>("SELECT count(*) AS n FROM sales.orders", { database });
    assert.equal(row!.n, "0");

    const data = new Resource();
    await data.create(lab.inputs([database], { dataOnly: true }));
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    const [next] = await lab.target.query<{ id: string }>("SELECT nextval('sales.orders_id_seq') AS id", { database });
    assert.equal(next!.id, "5001");
    await data.destroy();

    const again = new Resource();
    const text = await Resource.failure(again.create(lab.inputs([database], { dataOnly: true })));
    assert.match(text, /already have rows on the target.*\n.*overwriteDbsInTarget/);
    await again.update({ overwriteDbsInTarget: true });
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await again.destroy();
    assert((await lab.targetDatabases()).includes(database));
  });

  it("replicates to a database of another name, without the excluded tables", async () => {
    const database = await lab.database(shop);
    const target = `${database}_eu`;
    const resource = new Resource();
    await resource.create(
      lab.inputs([database], {
        migrationMode: "Online",
        databaseNames: { [database]: target },
        exclude: { schemas: ["audit"], tables: ["customer"] },
      }),
    );
    await lab.source.query(
      "UPDATE sales.orders SET v = 'changed' WHERE id < 10; UPDATE sales.customer SET name = 'x'",
      {
        database,
      },
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    const [source, there] = await Promise.all([
      digests({ server: lab.source, database }),
      digests({ server: lab.target, database: target }),
    ]);
    assert.deepEqual(Object.keys(there), ["sales.orders"]);
    assert.equal(there["sales.orders"], source["sales.orders"]);
    await resource.destroy();
  });
});
