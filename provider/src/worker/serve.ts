import { ChangeReporter, logMigration } from "../log.js";
import { hasEnded } from "../status.js";
import { orphanTimeoutSeconds, CopyHelper, readMigrationView, type MigrationView } from "./initial-copy/copy-helper.js";
import type { WorkerJob } from "./context/worker-job.js";
import { retry } from "./context/retry.js";
import { runMigration } from "./run/run-migration.js";
import { delay } from "../async/delay.js";
import { HelperPresence } from "./comparison/helper-presence.js";

const pollMs = 1000;

/** The lease must be free for this long before a standby worker takes it. A successor or an erasure needs this time. */
const minFreeLeaseMs = 5000;

interface Serving {
  readonly job: WorkerJob;
  /** Waits until the migration is recorded. */
  readonly waits: boolean;
  /** Keeps running after the migration ended, for containers and services that are started only once. */
  readonly stays: boolean;
  readonly stop: AbortSignal;
}

/**
 * Runs a migration, or executes copy tasks while another worker leads it. With `stays`, it stands by after the copy. It runs the migration again when an update asks for it. It ends when the migration
 * is deleted or the stop signal aborts.
 */
export async function serveMigration(serving: Serving): Promise<void> {
  logMigration(serving.job.migrationName);
  const reporter = new ChangeReporter();
  const report = (message: string): void => reporter.report(message);
  const helper = new CopyHelper(serving.job, report);
  const presence = new HelperPresence(serving.job);
  try {
    await serve(serving, { helper, presence }, report);
  } finally {
    await helper.close();
    await presence.leave();
  }
}

async function serve(
  { job, waits, stays, stop }: Serving,
  { helper, presence }: { readonly helper: CopyHelper; readonly presence: HelperPresence },
  report: (message: string) => void,
): Promise<void> {
  let wasRecorded = false;
  let wasRunning = false;
  let freeSince: number | undefined;
  while (!stop.aborted) {
    // The first read is not retried: the user must see an error in the address at once.
    const view: MigrationView | "stopped" | undefined = wasRecorded
      ? await refreshView(job, stop)
      : await readMigrationView(job);
    if (view === "stopped") return;
    if (!view && (wasRecorded || !waits)) {
      report(wasRecorded ? "the migration was deleted" : "the migration is not recorded on the target");
      return;
    }
    const isOver = view !== undefined && hasEnded(view.state);
    if (waits && !stays && view && !view.hasLeader && isOver && (wasRunning || !canRetry(view))) {
      report(`the migration ended (${view.state})`);
      return;
    }
    wasRunning ||= view !== undefined && !isOver;
    if (!view) report(`waiting until the migration is recorded on ${job.target.host}:${job.target.port}`);
    else if (view.hasLeader) {
      if (!stays && view.toCopy === 0) {
        report("another worker runs the migration, and all data is copied");
        return;
      }
      if (view.copies.length === 0)
        report("another worker runs the migration; standing by to help it copy and compare");
      await helper.share(view);
      // An unreachable target is handled by the next look.
      await presence.announce().catch(() => undefined);
    } else {
      await helper.stopComparing();
      if (isOver && stays) report(`the migration ended (${view.state}); waiting for a new spec or deletion`);
    }
    await helper.keepSnapshotsOf(view && !isOver ? view.copies : []);
    const isFree = view !== undefined && !view.hasLeader && !(isOver && stays);
    freeSince = isFree ? (freeSince ?? Date.now()) : undefined;
    // On the first read no stopped worker can be waiting for its successor.
    if (isFree && (!wasRecorded || Date.now() - freeSince! >= minFreeLeaseMs)) {
      report("running the migration");
      await helper.stopSharing();
      await presence.leave();
      await lead(job, helper, stop);
      if (!waits) return;
      // Another worker may have taken the lease first. This one then shares its copy.
      wasRunning = true;
      freeSince = undefined;
    }
    wasRecorded ||= view !== undefined;
    await delay(pollMs, stop);
  }
}

/** Whether another attempt has something to do. An engine may start a worker again after the end. */
const canRetry = ({ state }: MigrationView): boolean => state !== "Succeeded" && state !== "Canceled";

/** Retries while the target is unreachable. The snapshot held here lets the next leader resume the copy. */
async function refreshView(job: WorkerJob, stop: AbortSignal): Promise<MigrationView | "stopped" | undefined> {
  try {
    return await retry({ seconds: orphanTimeoutSeconds, signal: stop }, () => readMigrationView(job));
  } catch (error) {
    if (stop.aborted) return "stopped";
    throw error;
  }
}

/** Runs the migration, and holds the former leader's snapshots open until the copies that use them have finished. */
async function lead(job: WorkerJob, helper: CopyHelper, stop: AbortSignal): Promise<void> {
  const over = new AbortController();
  const keep = async (): Promise<void> => {
    while (helper.holdsSnapshot && !over.signal.aborted) {
      const view = await refreshView(job, over.signal);
      if (view === "stopped") return;
      await helper.keepSnapshotsOf(view && !hasEnded(view.state) ? view.copies : []);
      await delay(pollMs, over.signal);
    }
  };
  // Without the records, this process cannot know which snapshots are needed.
  const keeping = keep().catch(() => helper.close());
  try {
    await runMigration(job, stop);
  } finally {
    over.abort();
    await keeping;
  }
}
