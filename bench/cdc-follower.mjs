import console from "node:console";
import process from "node:process";
import { Follower } from "../provider/dist/cdc/follower.js";

/*
 * A process that only runs a follower, to measure the CPU time and memory of a follower. It is JavaScript because a loader for
 * TypeScript would be measured as well. The parent sends the options, and later any message to end it.
 */
process.once("message", (options) => {
  const follower = new Follower(options);
  follower.finished.catch((error) => {
    console.error(error);
    process.exit(1);
  });
  process.once("message", async () => {
    await follower.stop();
    process.disconnect();
  });
});
process.send("ready");
