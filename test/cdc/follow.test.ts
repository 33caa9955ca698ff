import assert from "node:assert/strict";
import { startAzureLikeServer } from "../support/azure-like";
import { EmbeddedServer } from "../support/embedded-server";
import { Scene, type Servers } from "./scene";

for (const [sourceMajor, targetMajor] of [
  [14, 17],
  [18, 18],
  [10, 17],
  [16, 18],
] as const)
  describe(`following changes from ${sourceMajor} to ${targetMajor}`, () => {
    let servers: Servers;
    let scene: Scene;

    before(async () => {
      const source = await EmbeddedServer.start({ major: sourceMajor, parameters: { wal_level: "logical" } });
      const { server: target, administrator } = await startAzureLikeServer({ major: targetMajor });
      servers = { source, target, administrator };
    });
    after(async () => {
      await servers.source.stop();
      await servers.target.stop();
    });
    afterEach(async function () {
      await scene.close();
    });

    it("applies inserts, updates and deletes", async () => {
      scene = await Scene.open(
        servers,
        `CREATE TABLE item (id int PRIMARY KEY, name text, price numeric(10,2), at timestamptz);
         INSERT INTO item SELECT i, 'item ' || i, i * 1.5, '2020-01-01 UTC' FROM generate_series(1, 100) i`,
      );
      const follower = scene.follow();
      await scene.onSource(`
        INSERT INTO item VALUES (101, E'tab\\t, line\\n, back\\\\slash, \\r, é', -0.01, 'infinity'), (102, NULL, NULL, NULL);
        UPDATE item SET name = '' WHERE id <= 10;
        DELETE FROM item WHERE id BETWEEN 50 AND 60;
        UPDATE item SET id = id + 1000 WHERE id BETWEEN 70 AND 75`);
      await scene.mustBecomeEqual(follower);
      const { inserts, updates, deletes, orderedBatches, lagBytes } = follower.status();
      assert.deepEqual(
        { inserts, updates, deletes, orderedBatches },
        { inserts: 2, updates: 16, deletes: 11, orderedBatches: 0 },
      );
      assert.equal(typeof lagBytes, "number");
    });
  });
