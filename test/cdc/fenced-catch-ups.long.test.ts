import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import type { Follower } from "../../provider/src/cdc/follower";
import { currentLsn } from "../../provider/src/cdc/source/lag";
import { Seeded, seed } from "../support/seeded";
import { Stage } from "./apply/stage";
import type { Scene } from "./scene";

/** With two version pairs, 200 in total. */
const rounds = 100;
const sessions = 4;

/** Inserts rows in asynchronous transactions of one to three rows, until the signal aborts. */
async function write(session: Client, random: Seeded, stopped: AbortSignal): Promise<void> {
  await session.query("SET synchronous_commit = off");
  while (!stopped.aborted) {
    await session.query(`INSERT INTO t SELECT FROM generate_series(1, ${1 + random.below(3)})`);
    await sleep(random.below(4));
  }
  await session.end();
}

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
    const random = new Seeded(seed);

    const connect = (scene: Scene): Promise<Client[]> =>
      Promise.all(Array.from({ length: sessions }, () => servers.source.connect(scene.database)));

    it(`apply every commit before the fence, in ${rounds} rounds (PG_MIGRATION_TEST_SEED=${seed})`, async () => {
      const scene = await servers.open("CREATE TABLE t (id bigserial PRIMARY KEY)");
      const [source, target] = await Promise.all([
        servers.source.connect(scene.database),
        servers.target.connect(scene.database, servers.administrator),
      ]);
      const count = async (session: Client): Promise<unknown> =>
        (await session.query("SELECT count(*)::int AS rows FROM t")).rows[0];
      const stop = new AbortController();
      const writers = (await connect(scene)).map((session) => write(session, random, stop.signal));
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
          await sleep(random.below(20));
        }
      } finally {
        stop.abort();
        await source.query("ROLLBACK");
        await Promise.all(writers);
        await Promise.all([source.end(), target.end()]);
      }
      await scene.mustBecomeEqual(follower);
    });
  });
