import assert from "node:assert/strict";
import { CommandLine } from "../cli/command";
import { findingsOf } from "../support/findings";
import { InsistentWriters } from "../support/insistent-writers";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

describe("the validation of an offline migration", () => {
  let lab: Lab;
  let database: string;

  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
    await lab.source.query(
      "CREATE ROLE clerk LOGIN PASSWORD 'clerk'; CREATE ROLE reader LOGIN PASSWORD 'reader'; GRANT pg_read_all_data TO reader",
    );
  });
  after(() => lab.stop());

  beforeEach(async () => {
    database = await lab.database("CREATE TABLE t (v text); GRANT ALL ON t TO PUBLIC");
  });

  const clerk = { user: "clerk", password: "clerk" };

  /** The warnings about sessions that write, with their remedies. */
  async function warnings(changes: Record<string, unknown> = {}): Promise<string> {
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationOption: "Validate", ...changes }));
    const found = findingsOf(resource.status, database).filter(({ code }) => code === "PGM-212");
    await resource.destroy();
    return found.map(({ message, remedy }) => `${message} To do: ${remedy!}`).join("\n");
  }

  it("lists the sessions that write, with role and application", async () => {
    const busy = new InsistentWriters(database, [{ ...lab.source.login, ...clerk }]);
    const seldom = await lab.source.connect(database);
    try {
      await until("the application writes", () => busy.acknowledged > 0);
      await seldom.query("INSERT INTO t VALUES ('one')");
      assert.match(
        await warnings(),
        /^db_\w+ is written on the source \(by sessions of .*clerk \(no application name\).*\), and what applications commit there/,
      );
      assert.match(await warnings(), /postgres \(test\)/);
    } finally {
      await Promise.all([busy.stop(), seldom.end()]);
    }
  });

  it("sees open transactions without pg_monitor, and names the privilege", async () => {
    const source = { ...lab.source.login, user: "reader", password: "reader", sslMode: "Disable" };
    const session = await lab.source.connect(database, clerk);
    try {
      await session.query("BEGIN; INSERT INTO t VALUES ('one')");
      const text = await warnings({ source });
      assert.match(text, /by sessions of clerk \(test\)/);
      assert.match(text, /GRANT pg_monitor TO "reader"/);
    } finally {
      await session.end();
    }
  });

  it("does not list sessions that only read, and lists none for an online migration", async () => {
    const session = await lab.source.connect(database, clerk);
    try {
      await session.query("BEGIN; SELECT count(*) FROM t");
      assert.equal(await warnings(), "");
      await session.query("INSERT INTO t VALUES ('one')");
      assert.equal(await warnings({ migrationMode: "Online" }), "");
    } finally {
      await session.end();
    }
  });

  it("is repeated by the same worker if the session that watches is lost", async () => {
    await lab.source.query(
      "DO $$ BEGIN FOR n IN 1..300 LOOP EXECUTE format('CREATE TABLE t_%s (id int)', n); END LOOP; END $$",
      { database },
    );
    const resource = new Resource();
    const creating = resource.create(lab.inputs([database], { migrationOption: "Validate" }));
    const lost = async (): Promise<boolean> => {
      const rows = await lab.source.query(
        "SELECT FROM pg_stat_activity WHERE application_name LIKE '%watch writers%' AND pg_terminate_backend(pid)",
      );
      return rows.length > 0;
    };
    await until("the session is lost", lost);
    assert.equal((await creating).state, "Succeeded");
    const [migration] = await lab.target.query("SELECT generation::int FROM pgmigration.migration WHERE name = $1", {
      values: [resource.inputs.migrationName],
    });
    assert.deepEqual(migration, { generation: 1 });
    await resource.destroy();
  });

  it("is shown by the command validate", async () => {
    const command = await CommandLine.in(lab);
    const session = await lab.source.connect(database);
    try {
      await session.query("BEGIN; INSERT INTO t VALUES ('one')");
      const { stdout } = await command.run(["validate", "--databases", database]);
      assert.match(stdout, /Warning +PGM-212 .*by sessions of postgres \(test\)/);
      assert.match(stdout, /stop these applications until the migration has ended/);
    } finally {
      await session.end();
      await command.close();
    }
  });
});
