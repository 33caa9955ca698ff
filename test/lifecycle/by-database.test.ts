import assert from "node:assert/strict";
import * as lifecycle from "../../provider/dist/resource/lifecycle.js";
import { inputsFromArmBody } from "../../provider/dist/inputs/arm-body.js";
import { unknownValue } from "../../provider/dist/inputs/unknown-value.js";
import { assertSameContent } from "../support/content";
import { Resource } from "../support/resource";
import { until } from "../support/until";
import { TwoDatabases } from "./two-databases";

describe("a migration of several databases", () => {
  const scene = new TwoDatabases();

  it("cuts over one database while the others keep replicating", async () => {
    const [first, second] = scene.names;
    const resource = new Resource();
    await resource.create(scene.lab.inputs(scene.names, { migrationMode: "Online" }));
    const partly = await resource.update({ triggerCutover: true, dbsToTriggerCutoverOn: [first] });
    assert.deepEqual(scene.statesOf(resource), ["Succeeded", "WaitingForCutoverTrigger"]);
    assert.equal(partly.state, "WaitingForUserAction");
    assert.equal(await scene.slots(), 1, "the first one's slot is dropped");
    process.kill((await resource.refresh()).worker.pid!, "SIGKILL");
    await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
    await resource.update({});
    assert.deepEqual(scene.statesOf(resource), ["Succeeded", "WaitingForCutoverTrigger"], "by the successor");
    await scene.lab.source.query("INSERT INTO t VALUES (1000)", { database: second });
    assert.equal((await resource.update({ dbsToTriggerCutoverOn: [] })).state, "Succeeded");
    for (const database of scene.names)
      await assertSameContent({ server: scene.lab.source, database }, { server: scene.lab.target, database });
    await resource.destroy();
  });

  it("resolves its patterns when it is created, if the preview could not read the source", async () => {
    const patterns = scene.names.map((name) => `${name}*`);
    const inputs = scene.lab.inputs(patterns, { migrationOption: "Validate" });
    assert.deepEqual(inputsFromArmBody({ properties: { dbsToMigrate: patterns } }), { dbsToMigrate: patterns });
    const unreachable = new Resource();
    const { login } = scene.lab.source;
    const checked = await unreachable.checked({ ...inputs, source: { ...login, port: 1, sslMode: "Disable" } });
    assert.deepEqual(checked.dbsToMigrate, patterns);
    assert.match(unreachable.notes.join(), /^the databases that dbsToMigrate selects are not known: .*ECONNREFUSED/);
    const unknown = new Resource();
    await unknown.checked({ ...inputs, source: { ...login, host: unknownValue } });
    assert.match(unknown.notes.join(), /^dbsToMigrate has patterns: this preview does not know the source yet/);
    const unresolved = { ...checked, source: inputs.source };
    const { outs } = await lifecycle.create(
      unresolved,
      () => undefined,
      () => undefined,
    );
    assert.deepEqual(outs.dbsToMigrate, scene.names);
    assert.equal((await lifecycle.diff("", outs, unresolved)).changes, false);
    const again = await lifecycle.check(unresolved, inputs);
    assert.deepEqual(again.inputs.dbsToMigrate, scene.names);
    await lifecycle.remove(outs);
  });

  it("is refused if a pattern matches nothing, with the databases of the source", async () => {
    const [first, second] = scene.names;
    const failures = (...list: string[]) => new Resource().failures(scene.lab.inputs(list));
    const [unmatched, ...others] = await failures("nothing_*", first);
    assert.match(unmatched!, new RegExp(`^dbsToMigrate: nothing_\\* matches no database of .*${first}`));
    assert.doesNotMatch(unmatched!, /postgres|template/);
    assert.deepEqual(others, []);
    assert.match((await failures(`${first}*`, `!${first}`)).join(), /leaves no database of .*; its databases are /);
    assert.deepEqual(await failures("*", `!${second}`, "!nothing"), []);
    assert.match((await failures("!a")).join(), /^dbsToMigrate: !a only excludes/);
  });

  it("lists the databases in any database that its role may open", async () => {
    const [first, second] = scene.names;
    const { source } = scene.lab;
    await source.query(`CREATE ROLE closed_out LOGIN PASSWORD 'secret';
      REVOKE CONNECT ON DATABASE postgres FROM public; REVOKE CONNECT ON DATABASE template1 FROM public`);
    try {
      const login = { ...source.login, user: "closed_out", password: "secret", sslMode: "Disable" };
      const resource = new Resource();
      const { dbsToMigrate } = await resource.checked(scene.lab.inputs([`${second}*`, first], { source: login }));
      assert.deepEqual(dbsToMigrate, [second, first]);
      const refused = new Resource();
      await refused.checked(scene.lab.inputs([`${second}*`], { source: login }));
      assert.match(refused.notes.join(), /not known: no database of .* accepts this role: .*may not connect/);
      assert.match(refused.notes.join(), /To do: add the name of a database to dbsToMigrate that closed_out may open/);
    } finally {
      await source.query("GRANT CONNECT ON DATABASE postgres TO public; GRANT CONNECT ON DATABASE template1 TO public");
    }
  });
});
