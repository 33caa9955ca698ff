import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Seeded, seed } from "../support/seeded";
import { randomTables } from "./random-changes";
import type { Scene } from "./scene";
import { Stage } from "./apply/stage";

/** Follows random changes in a separate process, which is killed this number of times. */
export function killFollower(kills: number): void {
  describe("a follower whose process is killed repeatedly", () => {
    const servers = new Stage({ from: 14, to: 18, parameters: { wal_sender_timeout: "5s" } });

    it(`loses and duplicates nothing at ${kills} kills (PG_MIGRATION_TEST_SEED=${seed})`, async function () {
      this.timeout(60_000 + kills * 30_000);
      const random = new Seeded(seed);
      const s = await servers.open(randomTables);
      const changes = await servers.write(s, 3);
      for (let kill = 0; kill < kills; kill++) {
        const child = followInProcess(s, kill + 1);
        await Promise.race([once(child.stdout!, "data"), once(child, "exit")]);
        await sleep(random.below(400));
        if (child.exitCode !== null) assert.fail(`the follower ended by itself: ${await textOf(child)}`);
        child.kill("SIGKILL");
        await once(child, "exit");
      }
      await changes.stop();
      assert.ok(changes.transactions > 5 * kills, `only ${changes.transactions} transactions were written`);
      await s.mustBecomeEqual(s.follow({ generation: 1000 }));
    });
  });
}

function followInProcess(scene: Scene, generation: number): ChildProcess {
  return spawn(process.execPath, ["--import", "tsx", join(__dirname, "follower-process.ts")], {
    env: {
      ...process.env,
      FOLLOW_OPTIONS: JSON.stringify(scene.options({ generation })),
      APPLY_SESSIONS: String(scene.options().applySessions?.()),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function textOf(child: ChildProcess): Promise<string> {
  let text = "";
  for await (const chunk of child.stderr!) text += String(chunk);
  return text;
}
