import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Follower } from "../../provider/src/cdc/follower";
import type { FollowEvent, FollowOptions } from "../../provider/src/cdc/follow-options";
import { readerSlot } from "../../provider/src/cdc/model/names";
import { randomTables } from "./random-changes";
import { type Scene } from "./scene";
import { Stage } from "./apply/stage";
import { until } from "../support/until";

/** Reads every backlog in portions, and each portion covers little WAL. */
const backlog = { behindBytes: 0, portionBytes: 1 << 20, aheadBytes: 64 << 10, restBytes: 8 << 10 };

const manyRows = "CREATE TABLE many (id int PRIMARY KEY, n int)";

/** More rows than may be in flight. A portion is therefore not read completely while the target applies nothing. */
const writeManyRows = (from: number): string => `
  DO $$ BEGIN
    FOR batch IN 0..599 LOOP
      INSERT INTO many SELECT ${from} + batch * 100 + i, batch FROM generate_series(1, 100) i;
      COMMIT;
    END LOOP;
  END $$`;

describe("a backlog", () => {
  const servers = new Stage({ from: 16, to: 17, parameters: { wal_sender_timeout: "5s", max_replication_slots: "6" } });

  const follow = (on: Scene, options: Partial<FollowOptions> = {}): { follower: Follower; events: FollowEvent[] } => {
    const events: FollowEvent[] = [];
    return { follower: on.follow({ backlog, onEvent: (event) => events.push(event), ...options }), events };
  };
  const slots = async (on: Scene): Promise<Record<string, boolean>> => {
    const rows = await on.onSource(
      "SELECT slot_name AS name, active FROM pg_replication_slots WHERE database = current_database()",
    );
    return Object.fromEntries(rows.map(({ name, active }) => [name as string, active as boolean]));
  };
  /** Holds the follower, and waits until a portion is partly received. */
  const heldInPortion = async (on: Scene, follower: Follower): Promise<void> => {
    await follower.hold();
    await until("much being received", () => follower.status().incomingChanges > 20_000);
    assert.deepEqual(await slots(on), { [on.names.slot]: false, [readerSlot(on.names.slot)]: true });
  };

  it("loses and duplicates nothing if its process is killed within a portion, or a server stops", async () => {
    const s = await servers.open(`${randomTables}; ${manyRows}`);
    const random = await servers.write(s, 2);
    for (let kill = 0; kill < 3; kill++) {
      await s.onSource(writeManyRows(kill * 100_000));
      const child = spawn(process.execPath, ["--import", "tsx", join(__dirname, "follower-process.ts")], {
        env: { ...process.env, FOLLOW_OPTIONS: JSON.stringify(s.options({ generation: kill + 1, backlog })) },
        stdio: ["ignore", "ignore", "inherit"],
      });
      await until("a portion", async () => readerSlot(s.names.slot) in (await slots(s)) || child.exitCode !== null);
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    await s.onSource(writeManyRows(900_000));
    await random.stop();
    const { follower, events } = follow(s, { generation: 10 });
    await heldInPortion(s, follower);
    await servers.source.restart();
    follower.resume();
    await until("the loss of the source", () => events.some(({ kind }) => kind === "connectionLost"));
    await s.mustBecomeEqual(follower);
  });
});
