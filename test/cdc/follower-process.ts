import { Follower } from "../../provider/src/cdc/follower";
import type { FollowOptions } from "../../provider/src/cdc/follow-options";

/** Runs a follower in a separate process, which a test kills. The environment contains its options as JSON. */
const options = JSON.parse(process.env.FOLLOW_OPTIONS!) as Omit<FollowOptions, "applySessions">;
const sessions = Number(process.env.APPLY_SESSIONS);
const follower = new Follower({ ...options, applySessions: () => sessions });
setInterval(() => process.stdout.write(`${follower.status().state}\n`), 20);
follower.finished.catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
});
