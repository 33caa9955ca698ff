import assert from "node:assert/strict";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { CommandLine } from "./command";

describe("pg-migration, its own commands", () => {
  let lab: Lab;
  let command: CommandLine;
  const undo: (() => Promise<unknown>)[] = [];

  before(async () => {
    lab = await Lab.start();
    command = await CommandLine.in(lab);
  });

  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
  });

  after(async () => {
    await command.close();
    await lab.stop();
  });

  const schema =
    "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 3000) i; CREATE TABLE empty (id int PRIMARY KEY)";

  /** A migration that is destroyed when its test ends. */
  function declare(): Resource {
    const resource = new Resource();
    undo.push(() => resource.destroy());
    return resource;
  }

  it("cleanup lists leftovers of deleted migrations and removes them only if confirmed", async () => {
    const database = await lab.database(schema);
    const alive = declare();
    await alive.create(lab.inputs([await lab.database(schema)], { migrationMode: "Online" }));
    const other = declare();
    await other.create(lab.inputs([await lab.database(schema)], { migrationMode: "Online" }));
    await lab.source.query(
      "SELECT pg_create_logical_replication_slot('pg_migration_dead', 'pgoutput'); CREATE PUBLICATION pg_migration_dead",
      { database },
    );
    const asked = await command.run(["cleanup"]);
    assert.equal(asked.code, 2);
    assert.match(
      asked.stdout,
      new RegExp(`^source +slot +${database} +pg_migration_dead\nsource +publication +${database}`, "m"),
    );
    assert.equal(asked.stdout.trimEnd().split("\n").length, 4, "objects of existing migrations are not listed");
    assert.match(asked.stderr, /pass --yes/);
    const removed = await command.run(["cleanup", "--yes"]);
    assert.equal(removed.code, 0, removed.stderr);
    assert.equal(removed.stderr, "2 removed\n", "no deprecation warning about concurrent queries");
    assert.match((await command.run(["cleanup"])).stdout, /^no leftovers found\n$/);
    assert.equal(
      (await alive.update({ triggerCutover: true })).state,
      "Succeeded",
      "the existing migration still works",
    );
  });

  it("cleanup lists nothing of migrations with records in another database, or with a running worker", async () => {
    const database = await lab.database(schema);
    await lab.target.query("CREATE DATABASE records2", { login: lab.administrator });
    undo.push(() => lab.target.query("DROP DATABASE records2", { login: lab.administrator }));
    const elsewhere = declare();
    await elsewhere.create(lab.onlineInputs([database], { maintenanceDatabase: "records2" }));
    const other = await lab.database("CREATE PUBLICATION pg_migration_busy; CREATE PUBLICATION pg_migration_busy_ins");
    const reader = await lab.source.connect(other);
    undo.push(() => lab.source.query(`DROP DATABASE ${other}`));
    undo.push(() => reader.end());
    await reader.query("SELECT pg_create_logical_replication_slot('pg_migration_busy', 'pgoutput', true)");
    await lab.querySource(other, "SELECT pg_create_logical_replication_slot('pg_migration_busy_point', 'pgoutput')");
    undo.push(() => lab.source.query("SELECT pg_drop_replication_slot('pg_migration_busy_point')"));
    assert.match((await command.run(["cleanup"])).stdout, /^no leftovers found\n$/);
    assert.equal((await elsewhere.update({ triggerCutover: true })).state, "Succeeded");
  });

  it("cleanup is refused if a database may have records that the role cannot read", async () => {
    await lab.target.query("CREATE DATABASE closed");
    undo.push(() => lab.target.query("DROP DATABASE closed"));
    await lab.target.query("REVOKE CONNECT ON DATABASE closed FROM PUBLIC");
    const { code, stderr } = await command.run(["cleanup", "--yes"]);
    assert.notEqual(code, 0);
    assert.match(stderr, /cannot read whether the target's database closed contains records of migrations/);
    assert.match(stderr, /GRANT CONNECT ON DATABASE "?closed"? TO/);
    await lab.target.query("GRANT CONNECT ON DATABASE closed TO PUBLIC");
    await lab.target.query(
      "CREATE ROLE stranger; CREATE SCHEMA pgmigration AUTHORIZATION stranger; CREATE TABLE pgmigration.migration ()",
      { database: "closed" },
    );
    undo.push(() => lab.target.query("DROP ROLE stranger"));
    undo.push(() => lab.target.query("DROP SCHEMA pgmigration CASCADE", { database: "closed" }));
    assert.match((await command.run(["cleanup", "--yes"])).stderr, /the target's database closed contains records/);
  });

  it("verify exits with 7 and names the different rows", async () => {
    const database = await lab.database(schema);
    const resource = declare();
    await resource.create(lab.inputs([database]));
    const args = ["verify", "--name", resource.inputs.migrationName as string];
    const equal = await command.run(args);
    assert.equal(equal.code, 0, equal.stderr);
    assert.match(equal.stderr, new RegExp(`^${database}: compared 100 % of `, "m"));
    assert.match(equal.stdout, new RegExp(`^${database} +public\\.t +3000 +3000 +content +yes$`, "m"));
    await lab.target.query("UPDATE t SET v = 'changed' WHERE id = 417", { database });
    const differing = await command.run(args);
    assert.equal(differing.code, 7);
    assert.match(differing.stdout, /public\.t +3000 +3000 +content +NO/);
    assert.match(differing.stderr, /417.*\n {2}To do: one side was written to after the migration ended/);
    assert.equal((await command.run([...args, "--mode", "counts"])).code, 0, "the numbers of rows are equal");
  });

  it("verify handles renamed databases, filters and large objects", async () => {
    const database = await lab.database(
      `${schema}; CREATE TABLE left_out (id int PRIMARY KEY); SELECT lo_from_bytea(4711, 'a large object')`,
    );
    const renamed = `${database}_new`;
    const resource = declare();
    await resource.create(
      lab.inputs([database], { databaseNames: { [database]: renamed }, exclude: { tables: ["left_out"] } }),
    );
    const args = ["verify", "--name", resource.inputs.migrationName as string];
    const equal = await command.run(args);
    assert.equal(equal.code, 0, equal.stderr);
    assert.match(equal.stdout, /public\.t +3000 +3000 +content +yes/);
    assert.match(equal.stdout, /large.?object.* 1 +1 +content +yes/);
    assert.doesNotMatch(equal.stdout, /left_out/);
    await lab.target.query("SELECT lo_put(4711, 2, 'L')", { database: renamed });
    assert.equal((await command.run(args)).code, 7);
    assert.equal((await command.run([...args, "--mode", "counts"])).code, 0);
  });

  it("delete removes a damaged record, with its slot and publication", async () => {
    const database = await lab.database(schema);
    const resource = declare();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    const name = resource.inputs.migrationName as string;
    const values = { values: [name] };
    await lab.target.query("UPDATE pgmigration.migration SET spec = spec - 'source' WHERE name = $1", values);
    const args = ["delete", "--name", name, "--yes"];
    const unnamed = await command.run(args, { PG_MIGRATION_SOURCE_HOST: undefined });
    assert.equal(unnamed.code, 2);
    assert.match(unnamed.stderr, /--source-host: the host of the source is missing/);
    const leftOver = (): Promise<unknown[]> =>
      lab.querySource(
        database,
        "SELECT slot_name FROM pg_replication_slots WHERE NOT temporary UNION ALL SELECT pubname FROM pg_publication",
      );
    assert.notDeepEqual(await leftOver(), [], "nothing was removed");
    const deleted = await command.run(args);
    assert.equal(deleted.code, 0, deleted.stderr);
    assert.deepEqual(await leftOver(), []);
    assert.equal((await command.run(["show", "--name", name])).code, 3);
  });

  it("delete removes slot and publication of a damaged record, also by another name of the target's host", async () => {
    const database = await lab.database(schema);
    const resource = declare();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    await lab.target.query("UPDATE pgmigration.migration SET spec = '[]'");
    const args = ["delete", "--name", resource.inputs.migrationName as string, "--yes"];
    const deleted = await command.run(args, { PGHOST: "localhost" });
    assert.equal(deleted.code, 0, deleted.stderr);
    const left = "SELECT slot_name FROM pg_replication_slots UNION ALL SELECT pubname FROM pg_publication";
    assert.deepEqual(await lab.querySource(database, left), []);
  });

  it("delete lifts the fence of a source and removes its rollback replication", async () => {
    const database = await lab.database(schema);
    const resource = declare();
    await resource.create(
      lab.inputs([database], { migrationMode: "Online", rollback: "keep", fence: "readOnly", triggerCutover: true }),
    );
    await assert.rejects(lab.querySource(database, "INSERT INTO empty VALUES (1)"), /read-only/);
    const deleted = await command.run(["delete", "--name", resource.inputs.migrationName as string, "--yes"]);
    assert.equal(deleted.code, 0, deleted.stderr);
    await lab.querySource(database, "INSERT INTO empty VALUES (1)");
    assert.deepEqual(await lab.target.query("SELECT FROM pg_replication_slots WHERE NOT temporary"), []);
  });
});
