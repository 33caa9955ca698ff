import { Follower, type FollowOptions } from "../provider/dist/cdc/follow.js";
import type { Usage } from "./process-usage";

/*
 * A process that does nothing but follow, so that its time and memory are those of following. Its parent sends the
 * options, and anything else to end it; it answers with what it has used since it began to follow.
 */
process.once("message", (options: FollowOptions) => {
  const before = process.cpuUsage();
  const follower = new Follower(options);
  follower.finished.catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
  process.once("message", () => {
    const { user, system } = process.cpuUsage(before);
    const usage: Usage = { cpuSeconds: (user + system) / 1e6, maxRssBytes: process.resourceUsage().maxRSS * 1024 };
    void follower.stop().then(() => process.send!(usage, () => process.disconnect()));
  });
});
process.send!("ready");
