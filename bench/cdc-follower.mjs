import console from "node:console";
import process from "node:process";
import { Follower } from "../provider/dist/cdc/follower.js";

/*
 * A process that only runs a follower, to measure the CPU time and memory of a follower. It is JavaScript because a loader for
 * TypeScript would be measured as well. The parent sends the options, and later any message to end it. The process answers
 * with its usage since the start of the follower.
 */
process.once("message", (options) => {
  const before = process.cpuUsage();
  const follower = new Follower(options);
  follower.finished.catch((error) => {
    console.error(error);
    process.exit(1);
  });
  process.once("message", async () => {
    const { user, system } = process.cpuUsage(before);
    const usage = { cpuSeconds: (user + system) / 1e6, maxRssBytes: process.resourceUsage().maxRSS * 1024 };
    await follower.stop();
    process.send(usage, () => process.disconnect());
  });
});
process.send("ready");
