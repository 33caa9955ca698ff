import console from "node:console";
import process from "node:process";
import { Follower } from "../provider/dist/cdc/follower.js";

/*
 * A process that does nothing but follow, so that its time and memory are those of following: in JavaScript, since a
 * loader for TypeScript would count as well. Its parent sends the options, and anything else to end it; it answers with
 * what it has used since it began to follow.
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
