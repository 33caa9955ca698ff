import { log, logMigration } from "../log.js";
import { CanceledError, messageOf } from "../errors.js";
import { stopSignals } from "../exit-codes.js";
import { readJob } from "./read-worker-job.js";
import { helpCopying } from "./initial-copy/help-copying.js";
import { borrowArgument, shareArgument } from "./context/worker-job.js";
import { handOver } from "./pool/hand-over.js";
import { noRoomExitCode } from "./pool/pool-worker.js";
import { runInPool } from "./pool/run-in-pool.js";
import { runMigration } from "./run/run-migration.js";
import { borrowStream } from "./streaming/borrow-stream.js";

/**
 * The worker process. It reads its job from standard input, because other users of the machine can read arguments and
 * environment variables.
 */
async function main(): Promise<void> {
  const stop = new AbortController();
  // Before the first wait: the event is not repeated for a pool that ends while this process reads its job.
  process.once("disconnect", () => stop.abort(new CanceledError("the pool that started this worker has ended")));
  const isBorrower = process.argv[2] === borrowArgument;
  const job = await readJob(process.env);
  logMigration(job.migrationName);
  if (stop.signal.aborted) {
    log.info(messageOf(stop.signal.reason));
    return;
  }
  for (const signal of stopSignals) {
    const end = (): void => stop.abort(new CanceledError(`the worker was stopped by ${signal}`));
    // Only a pool opens a channel for messages. A borrowed stream has no snapshot to hand over.
    if (process.send === undefined || isBorrower) process.once(signal, end);
    else process.on(signal, () => void handOver(job, stop.signal).finally(end));
  }
  if (isBorrower) {
    // The pool asks again later.
    if (!(await borrowStream(job, process.argv[3]!, stop.signal))) process.exitCode = noRoomExitCode;
  } else if (process.argv[2] === shareArgument) await helpCopying(job, stop.signal);
  else if (job.budgets) await runInPool(job, job.budgets, stop.signal);
  else await runMigration(job, stop.signal);
}

main().then(
  // An open handle must not keep the process alive after its work.
  () => process.exit(),
  (error: unknown) => {
    log.error(`the worker ends: ${error instanceof Error ? (error.stack ?? "") : messageOf(error)}`);
    process.exit(1);
  },
);
