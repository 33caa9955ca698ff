import assert from "node:assert/strict";
import { readFenceRecord, putUpFence } from "../../../provider/src/cutover/fence";
import type { Endpoint } from "../../../provider/src/postgres/connection/endpoint";
import { removeFence } from "../../../provider/src/worker/cleanup/database-fence";
import { assertSameContent } from "../../support/content";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { FenceScene, login } from "./fence-scene";

describe("the fence of a cutover that is not as usual", () => {
  const scene = new FenceScene();

  it("is not waited for forever when it cannot be lifted: the error shows how to lift it manually", async () => {
    const before = await scene.settings();
    const source: Endpoint = { ...scene.lab.source.login, sslMode: "Disable" };
    const fenced = { side: "source", database: scene.database } as const;
    const session = await scene.lab.source.connect(scene.database);
    const obstacle = await scene.lab.source.connect();
    try {
      const record = await readFenceRecord(session, "source");
      await putUpFence(session, fenced, record);
      await obstacle.query("BEGIN; LOCK TABLE pg_db_role_setting IN SHARE MODE");
      const text = await Resource.failure(removeFence(source, fenced, record, 0));
      assert.match(text, /stays read-only on the source .*lock timeout/);
      await obstacle.query("COMMIT");
      const [, byHand] = /To do: on the source: (.*)$/.exec(text)!;
      for (const statement of byHand!.split("; ")) await scene.lab.source.query(statement);
    } finally {
      await Promise.all([session.end(), obstacle.end()]);
    }
    assert.deepEqual(await scene.settings(), before);
    await scene.write("clerk");
  });

  it("is removed by the successor when the cutover is withdrawn, by a cancellation, and by destroy", async () => {
    const before = await scene.settings();
    const undone: readonly (() => Promise<unknown>)[] = [
      () => scene.resource.update({ triggerCutover: false, waitFor: "cutoverReady" }),
      () => scene.resource.update({ triggerCutover: false, cancel: true, waitFor: undefined }),
      () => scene.resource.destroy(),
    ];
    for (const undo of undone) {
      await scene.newDatabase();
      await scene.resource.create(scene.inputs());
      await scene.whileCutoverWaits(() => scene.killWorker());
      await undo();
      assert.deepEqual(await scene.settings(), []);
      await scene.write("stubborn");
      await scene.resource.destroy();
    }
    assert.equal(before.length, 2);
  });

  it("cannot stop a session that overrides it: its writes are replicated and reported", async () => {
    await scene.resource.create(scene.inputs());
    await scene.whileCutoverWaits(async () => {
      const free = await scene.lab.source.connect(scene.database, login("clerk"));
      try {
        await free.query("SET default_transaction_read_only = off");
        await free.query("INSERT INTO t (v) VALUES ('escaped')");
      } finally {
        await free.end();
      }
    });
    const status = await scene.resource.update({ waitFor: "succeeded" });
    assert.equal(status.state, "Succeeded");
    await assertSameContent(...scene.places());
    const messages = status.currentSubStateDetails.validationDetails!.dbLevelValidationDetails.flatMap(({ summary }) =>
      summary.flatMap((one) => one.messages.map(({ message }) => message)),
    );
    assert(messages.some((message) => /^1 changes were written on the source in spite of the fence/.test(message)));
    await scene.resource.destroy();
  });

  it("waits for a prepared transaction, reports it, and replicates it", async () => {
    await scene.resource.create(scene.inputs());
    await scene.lab.source.query("BEGIN; INSERT INTO t (v) VALUES ('prepared'); PREPARE TRANSACTION 'left alone'", {
      database: scene.database,
    });
    const done = scene.resource.update({ triggerCutover: true });
    done.catch(() => undefined);
    try {
      await until("the prepared transaction is reported", async () => {
        const said = await scene.lab.target.query(
          "SELECT FROM pgmigration.finding WHERE message LIKE '%waits for the prepared transaction left alone%'",
        );
        return said.length > 0;
      });
    } finally {
      await scene.lab.source.query("COMMIT PREPARED 'left alone'", { database: scene.database });
    }
    assert.equal((await done).state, "Succeeded");
    await assertSameContent(...scene.places());
    const prepared = "SELECT FROM t WHERE v = 'prepared'";
    assert.equal((await scene.lab.target.query(prepared, { database: scene.database })).length, 1);
    await scene.resource.destroy();
  });
});
