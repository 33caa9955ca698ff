import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { cutOver } from "../../../provider/src/cutover/cut-over";
import { seed } from "../../support/seeded";
import { Stage } from "../apply/stage";
import { AsynchronousWriters } from "./asynchronous-writers";
import type { Scene } from "../scene";

/** For each pair of versions. */
const rounds = Number(process.env.PG_MIGRATION_TEST_ROUNDS ?? 50);

/** In a return, the servers exchange their roles: the newer one has the applications, and the older one follows. */
for (const [from, to] of [
  [17, 16],
  [18, 16],
] as const)
  describe(`returns with synchronous_commit = off from PostgreSQL ${from} to ${to}`, () => {
    const servers = new Stage({ from, to });

    const connect = (scene: Scene): Promise<Client[]> =>
      Promise.all([
        ...[1, 2, 3].map(() => servers.source.connect(scene.database)),
        servers.target.connect(scene.database, servers.administrator),
      ]);

    it(`pass each time, with every row, in ${rounds} rounds (PG_MIGRATION_TEST_SEED=${seed})`, async () => {
      const scene = await servers.open("CREATE TABLE t (id bigserial PRIMARY KEY)");
      const [fence, source, sourceSession, targetSession] = (await connect(scene)) as [Client, Client, Client, Client];
      const count = async (session: Client): Promise<unknown> =>
        (await session.query("SELECT count(*)::int AS rows FROM t")).rows[0];
      const writers = new AsynchronousWriters(servers.source, scene.database);
      const follower = scene.follow();
      const nothing = (): Promise<void> => Promise.resolve();
      const signal = new AbortController().signal;
      try {
        for (let round = 1; round <= rounds; round++) {
          await cutOver({
            ...{ source: scene.source, database: scene.database, plugin: scene.plugin, publisher: "target" },
            ...{ follower, sourceSession, targetSession, signal, slot: `point_${scene.database}` },
            ...{ onWaiting: () => undefined, onQueued: () => undefined, onEscapedChanges: nothing, onStep: nothing },
            ...{
              hasSequence: () => true,
              sequenceMargin: 0,
              onSequences: () => Promise.resolve(),
              refreshMaterializedViews: nothing,
              requireSchema: nothing,
            },
            putUpFence: async () => {
              await fence.query("BEGIN; LOCK TABLE t IN SHARE MODE");
            },
            compare: () => Promise.resolve("compare"),
          });
          assert.deepEqual(await count(targetSession), await count(source), `round ${round}`);
          follower.resume();
          await fence.query("COMMIT");
          await sleep(writers.pauseMs(20));
        }
      } finally {
        await fence.query("ROLLBACK");
        await writers.stop();
        await Promise.all([fence, source, sourceSession, targetSession].map((session) => session.end()));
      }
      await scene.mustBecomeEqual(follower);
    });
  });
