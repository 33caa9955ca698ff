import { UnreachableError, messageOf } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { hasEnded } from "../../status.js";
import { orphanTimeoutSeconds, CopyHelper, readMigrationView, type MigrationView } from "./copy-helper.js";
import type { WorkerJob } from "../context/worker-job.js";
import { ChangeReporter } from "../../log.js";
import { delay } from "../../async/delay.js";

const pollMs = 500;

/**
 * Shares copies and comparisons of the worker that started this process. If that worker dies, this process only holds the snapshot
 * open until the successor, which starts its own helpers, has adopted it.
 */
export const helpCopying = (job: WorkerJob, stop: AbortSignal): Promise<void> => follow(job, stop, undefined);

/** Holds the snapshots of a leader that is about to end, until its successor has adopted them. Executes no copy tasks. */
export const keepSnapshotsOf = (job: WorkerJob, generation: number, stop: AbortSignal): Promise<void> =>
  follow(job, stop, generation);

async function follow(job: WorkerJob, stop: AbortSignal, leaving: number | undefined): Promise<void> {
  const reporter = new ChangeReporter();
  const report = (message: string): void => reporter.report(message);
  const helper = new CopyHelper(job, report);
  let leader = leaving;
  let ledAt = Date.now();
  try {
    while (!stop.aborted && Date.now() - ledAt < orphanTimeoutSeconds * 1000) {
      const view = await readView(job, report);
      if (view !== "unreachable") {
        if (!view || hasEnded(view.state)) return;
        // The leader ends this process after a comparison. If it is lost, its snapshots are, too.
        if (view.toCopy === 0 && (!view.hasLeader || leaving !== undefined)) return;
        leader ??= view.generation;
        const copies = view.copies.filter(({ generation }) => generation === leader);
        if (view.generation !== leader) await helper.stopSharing();
        else if (leaving === undefined) await helper.share(view);
        else helper.hold(view);
        await helper.keepSnapshotsOf(copies);
        if (view.generation !== leader && copies.length === 0) return;
        if (view.hasLeader) ledAt = Date.now();
      }
      await delay(pollMs, stop);
    }
  } finally {
    await helper.close();
  }
}

async function readView(
  job: WorkerJob,
  report: (message: string) => void,
): Promise<MigrationView | undefined | "unreachable"> {
  try {
    return await readMigrationView(job);
  } catch (error) {
    if (!(error instanceof UnreachableError || isConnectionLoss(error))) throw error;
    report(messageOf(error));
    return "unreachable";
  }
}
