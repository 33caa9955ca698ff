import { Unreachable, messageOf } from "../errors.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { hasEnded } from "../status.js";
import { aloneForSeconds, CopyHelper, lookAt, type Sight } from "./initial-copy/copy-helper.js";
import type { Job } from "./context/worker-job.js";
import { teller } from "./serve.js";
import { pause } from "../async/delay.js";

/** Has a worker process share what another one copies. */
export const shareArgument = "share";

const pollMs = 500;

/**
 * Shares the copies of the worker that has started this one. When that is gone, it does nothing more than to keep the
 * snapshot until that one's successor has it, which starts helpers of its own.
 */
export async function helpCopying(job: Job, stop: AbortSignal): Promise<void> {
  const say = teller(job);
  const helper = new CopyHelper(job, say);
  let leader: number | undefined;
  let ledAt = Date.now();
  try {
    while (!stop.aborted && Date.now() - ledAt < aloneForSeconds * 1000) {
      const sight = await look(job, say);
      if (sight !== "unreachable") {
        if (!sight || hasEnded(sight.state) || sight.toCopy === 0) return;
        leader ??= sight.generation;
        const copies = sight.copies.filter(({ generation }) => generation === leader);
        if (sight.generation === leader) await helper.share(sight);
        else await helper.stopSharing();
        await helper.keepSnapshotsOf(copies);
        if (sight.generation !== leader && copies.length === 0) return;
        if (sight.hasLeader) ledAt = Date.now();
      }
      await pause(pollMs, stop);
    }
  } finally {
    await helper.close();
  }
}

async function look(job: Job, say: (sentence: string) => void): Promise<Sight | undefined | "unreachable"> {
  try {
    return await lookAt(job);
  } catch (error) {
    if (!(error instanceof Unreachable || isConnectionLoss(error))) throw error;
    say(messageOf(error));
    return "unreachable";
  }
}
