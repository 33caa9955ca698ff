import { Follower } from "../../provider/src/cdc/follower";
import type { FollowOptions } from "../../provider/src/cdc/follow-options";

/** Follows in a process of its own, which a test kills. Options come as JSON in the environment. */
const follower = new Follower(JSON.parse(process.env.FOLLOW_OPTIONS!) as FollowOptions);
setInterval(() => process.stdout.write(`${follower.status().state}\n`), 20);
follower.finished.catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
});
