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
});
