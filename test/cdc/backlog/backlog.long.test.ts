import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { readerSlot } from "../../../provider/src/cdc/model/names";
import { randomTables } from "../random-changes";
import { Stage } from "../apply/stage";
import { until } from "../../support/until";
import {
  backlog,
  backlogServers,
  followBacklog,
  holdInPortion,
  manyRows,
  slotsOf,
  writeManyRows,
} from "./backlog-scene";
import { changeSlotMeanwhile } from "./changed-slot";
import { readLargeTransaction } from "./large-transaction";

describe("a backlog", () => {
  const servers = new Stage(backlogServers);

  it("loses and duplicates nothing if its process is killed within a portion, or a server stops", async () => {
    const s = await servers.open(`${randomTables}; ${manyRows}`);
    const random = await servers.write(s, 2);
    for (let kill = 0; kill < 3; kill++) {
      await s.onSource(writeManyRows(kill * 100_000));
      const child = spawn(process.execPath, ["--import", "tsx", join(__dirname, "../follower-process.ts")], {
        env: { ...process.env, FOLLOW_OPTIONS: JSON.stringify(s.options({ generation: kill + 1, backlog })) },
        stdio: ["ignore", "ignore", "inherit"],
      });
      await until("a portion", async () => readerSlot(s.names.slot) in (await slotsOf(s)) || child.exitCode !== null);
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    await s.onSource(writeManyRows(900_000));
    await random.stop();
    const { follower, events } = followBacklog(s, { generation: 10 });
    await holdInPortion(s, follower);
    await servers.source.restart();
    follower.resume();
    await until("the loss of the source", () => events.some(({ kind }) => kind === "connectionLost"));
    await s.mustBecomeEqual(follower);
  });

  for (const change of ["dropped", "recreated"] as const)
    it(`ends the stream if another session has ${change} the slot meanwhile, and skips no change`, () =>
      changeSlotMeanwhile(servers, change));

  it("is read through the walsender at a transaction for which the source would write a large file, with concurrent transactions", () =>
    readLargeTransaction(servers, (step) => `INSERT INTO t VALUES (${-1 - step}, 'concurrent')`));
});
