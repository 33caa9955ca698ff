import { Follower } from "../../provider/src/cdc/follower";
import type { FollowOptions } from "../../provider/src/cdc/follow-options";

/** Runs a follower in a separate process, which a test kills. The environment contains its options as JSON. */
const follower = new Follower(JSON.parse(process.env.FOLLOW_OPTIONS!) as FollowOptions);
setInterval(() => process.stdout.write(`${follower.status().state}\n`), 20);
follower.finished.catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
});
