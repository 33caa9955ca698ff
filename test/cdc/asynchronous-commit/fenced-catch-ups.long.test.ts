import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import type { Follower } from "../../../provider/src/cdc/follower";
import { currentLsn } from "../../../provider/src/cdc/source/lag";
import { seed } from "../../support/seeded";
import { AsynchronousWriters } from "./asynchronous-writers";
import { Stage } from "../apply/stage";

/** For each pair of versions. */
const rounds = Number(process.env.PG_MIGRATION_TEST_ROUNDS ?? 50);

async function catchUp(follower: Follower, source: Client): Promise<void> {
  await follower.hold();
  await follower.drainTo(await currentLsn(source));
}

for (const [from, to] of [
  [14, 17],
  [16, 18],
] as const)
  describe(`catch-ups with synchronous_commit = off from PostgreSQL ${from} to ${to}`, () => {
    const servers = new Stage({ from, to });

    it(`apply every commit before the fence, in ${rounds} rounds (PG_MIGRATION_TEST_SEED=${seed})`, async () => {
      const scene = await servers.open("CREATE TABLE t (id bigserial PRIMARY KEY)");
      const [source, target] = await Promise.all([
        servers.source.connect(scene.database),
        servers.target.connect(scene.database, servers.administrator),
      ]);
      const count = async (session: Client): Promise<unknown> =>
        (await session.query("SELECT count(*)::int AS rows FROM t")).rows[0];
      const writers = new AsynchronousWriters(servers.source, scene.database);
      const follower = scene.follow();
      try {
        for (let round = 1; round <= rounds; round++) {
          // First while transactions commit, as before a fence: a position inside a commit record must not fail.
          await catchUp(follower, source);
          follower.resume();
          await source.query("BEGIN; LOCK TABLE t IN SHARE MODE");
          await catchUp(follower, source);
          assert.deepEqual(await count(target), await count(source), `round ${round}`);
          follower.resume();
          await source.query("COMMIT");
          await sleep(writers.pauseMs(20));
        }
      } finally {
        await source.query("ROLLBACK");
        await writers.stop();
        await Promise.all([source.end(), target.end()]);
      }
      await scene.mustBecomeEqual(follower);
    });
  });
