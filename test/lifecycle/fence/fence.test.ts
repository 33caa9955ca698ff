import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { InsistentWriters } from "../../support/insistent-writers";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { FenceScene, login } from "./fence-scene";

describe("the fence of a cutover", () => {
  const scene = new FenceScene();

  it("blocks writers of every role, loses none of their writes, and stays until it is lifted", async () => {
    const before = await scene.settings();
    await scene.resource.create(scene.inputs());
    const writers = new InsistentWriters(
      scene.database,
      scene.writers.map((name) => ({ ...scene.lab.source.login, ...(name ? login(name) : {}) })),
    );
    try {
      await until("the writers write", () => writers.acknowledged > 100);
      assert.equal((await scene.resource.update({ triggerCutover: true })).state, "Succeeded");
      await scene.assertReadOnly();
      await until("the writers get the read-only error", () => writers.ends.has("25006"));
    } finally {
      await writers.stop();
    }
    await assertSameContent(...scene.places());
    const [rows] = await scene.lab.source.query<{ count: number }>("SELECT count(*)::int FROM t", {
      database: scene.database,
    });
    assert.equal(rows!.count, writers.acknowledged + 1);
    assert(scene.resource.status.cutoverTimeline.some(({ step }) => step === "put up the fence"));

    await scene.resource.update({ fence: "none" });
    assert.deepEqual(await scene.settings(), before);
    await scene.write("clerk");
    await scene.resource.destroy();
  });

  it("is removed when the cutover fails, and when the resource is destroyed", async () => {
    const before = await scene.settings();
    await scene.resource.create(scene.inputs());
    const onTarget = (sql: string): Promise<unknown> =>
      scene.lab.target.query(sql, { database: scene.database, login: scene.lab.administrator });
    await onTarget("UPDATE t SET v = 'changed'");
    assert.match(await Resource.failure(scene.resource.update({ triggerCutover: true })), /"public"\."t"/);
    assert.deepEqual(await scene.settings(), before);
    await scene.write("clerk");
    await onTarget("UPDATE t SET v = 'first' WHERE v = 'changed'");
    assert.equal((await scene.resource.update({})).state, "Succeeded");
    await assertSameContent(...scene.places());
    await scene.assertReadOnly();
    await scene.resource.destroy();
    assert.deepEqual(await scene.settings(), before);
  });

  it("remains when its worker is killed, and is completed by the successor", async () => {
    await scene.resource.create(scene.inputs());
    await scene.whileCutoverWaits(async () => {
      await scene.killWorker();
      await scene.assertReadOnly();
    });
    assert.equal((await scene.resource.update({ waitFor: "succeeded" })).state, "Succeeded");
    await assertSameContent(...scene.places());
    await scene.assertReadOnly();
    await scene.resource.destroy();
  });

  it("is lifted by the successor of a killed worker if the cutover window is over", async () => {
    await scene.resource.create(scene.inputs());
    const before = await scene.settings();
    await scene.whileCutoverWaits(() => scene.killWorker());
    await scene.assertReadOnly();
    const cutoverWindow = { start: "2020-02-01T02:00", end: "2020-02-01T05:00" };
    assert.match(await Resource.failure(scene.resource.update({ cutoverWindow, waitFor: undefined })), /is over/);
    assert.deepEqual(await scene.settings(), before);
    await scene.write("clerk");
    assert.equal((await scene.resource.update({ cutoverWindow: undefined })).state, "Succeeded");
    await assertSameContent(...scene.places());
    await scene.resource.destroy();
  });

  it("is refused by the validation if the role lacks the privileges", async () => {
    await scene.lab.source.query(`GRANT CREATE ON DATABASE ${scene.database} TO migrator`);
    const source = { ...scene.lab.source.login, ...login("migrator"), sslMode: "Prefer" };
    for (const migrationMode of ["Online", "Offline"]) {
      const text = await Resource.failure(scene.resource.create(scene.inputs({ source, migrationMode })));
      assert.match(text, /migrator does not own db_\w+ on the source/);
      assert.match(text, /GRANT pg_signal_backend TO "migrator"/);
      assert.match(text, /ALTER ROLE "stubborn" RESET default_transaction_read_only/);
      await scene.resource.destroy();
    }
  });
});
