import { hasEnded } from "../status.js";
import { aloneForSeconds, CopyHelper, lookAt, type Sight } from "./initial-copy/copy-helper.js";
import type { Job } from "./context/worker-job.js";
import { rideOut } from "./ride-out.js";
import { runMigration } from "./run.js";
import { pause } from "../async/delay.js";

const pollMs = 1000;

/** A worker that was told to stop has time to be succeeded, or erased, before another takes the lease unasked. */
const freeForMs = 5000;

interface Serving {
  readonly job: Job;
  /** For containers and units that are started once; else it ends with the work that there is. */
  readonly stays: boolean;
  readonly stop: AbortSignal;
}

/**
 * Does a migration's work, or shares the copy while another worker leads it. One that stays waits until the migration is
 * recorded, stands by behind the copy, tries again when an update asks for that, and ends when the migration is deleted, or
 * when it is told to stop.
 */
export async function serveMigration(serving: Serving): Promise<void> {
  const say = teller(serving.job);
  const helper = new CopyHelper(serving.job, say);
  try {
    await serve(serving, helper, say);
  } finally {
    await helper.close();
  }
}

async function serve(
  { job, stays, stop }: Serving,
  helper: CopyHelper,
  say: (sentence: string) => void,
): Promise<void> {
  let wasRecorded = false;
  let freeSince: number | undefined;
  while (!stop.aborted) {
    // At first there may be none, or another address: its user is to know.
    const sight: Sight | "stopped" | undefined = wasRecorded ? await lookAgain(job, stop) : await lookAt(job);
    if (sight === "stopped") return;
    if (!sight && (wasRecorded || !stays)) {
      say(wasRecorded ? "is deleted; nothing is left to do" : "is not recorded on the target");
      return;
    }
    const isOver = sight !== undefined && hasEnded(sight.state);
    if (!sight) say(`waits until the migration is recorded on ${job.target.host}:${job.target.port}`);
    else if (sight.hasLeader) {
      if (!stays && sight.toCopy === 0) {
        say("another worker is at work, and nothing is left to copy");
        return;
      }
      if (sight.copies.length === 0) say("another worker is at work; stands by to share what it copies");
      await helper.share(sight);
    } else if (isOver && stays) say(`has ended as ${sight.state}; waits for another wish, or for its deletion`);
    await helper.keepSnapshotsOf(sight && !isOver ? sight.copies : []);
    const isFree = sight !== undefined && !sight.hasLeader && !(isOver && stays);
    freeSince = isFree ? (freeSince ?? Date.now()) : undefined;
    // At first nobody can have been told to stop.
    if (isFree && (!wasRecorded || Date.now() - freeSince! >= freeForMs)) {
      say("works");
      await helper.stopSharing();
      await lead(job, helper, stop);
      if (!stays) return;
      freeSince = undefined;
    }
    wasRecorded ||= sight !== undefined;
    await pause(pollMs, stop);
  }
}

/** Rides out a target that is away for a while: what is kept here lets whoever leads then go on with the copy. */
async function lookAgain(job: Job, stop: AbortSignal): Promise<Sight | "stopped" | undefined> {
  try {
    return await rideOut({ seconds: aloneForSeconds, signal: stop }, () => lookAt(job));
  } catch (error) {
    if (stop.aborted) return "stopped";
    throw error;
  }
}

/** What was kept while another worker led is kept on until this one has copied what it needs it for. */
async function lead(job: Job, helper: CopyHelper, stop: AbortSignal): Promise<void> {
  const over = new AbortController();
  const keep = async (): Promise<void> => {
    while (helper.holdsSnapshot && !over.signal.aborted) {
      const sight = await lookAgain(job, over.signal);
      if (sight === "stopped") return;
      await helper.keepSnapshotsOf(sight && !hasEnded(sight.state) ? sight.copies : []);
      await pause(pollMs, over.signal);
    }
  };
  // Who cannot look can be of no use either: what it keeps ends with it.
  const keeping = keep().catch(() => helper.close());
  try {
    await runMigration(job, stop);
  } finally {
    over.abort();
    await keeping;
  }
}

/** Says a sentence once, until there is another one to say. */
export function teller({ migrationName }: Job): (sentence: string) => void {
  let said = "";
  return (sentence) => {
    if (sentence !== said) process.stdout.write(`${new Date().toISOString()} ${migrationName}: ${sentence}\n`);
    said = sentence;
  };
}
