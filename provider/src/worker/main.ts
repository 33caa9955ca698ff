import { Canceled, messageOf } from "../errors.js";
import { readJob } from "./read-worker-job.js";
import { helpCopying, shareArgument } from "./help-copying.js";
import { runMigration } from "./run.js";

/**
 * The worker process. The resource gives it its job on standard input, since arguments and environment can be read by
 * others.
 */
async function main(): Promise<void> {
  const job = await readJob(process.env);
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
    process.once(signal, () => {
      stop.abort(new Canceled(`the worker was told to stop by ${signal}`));
    });
  if (process.argv[2] === shareArgument) await helpCopying(job, stop.signal);
  else await runMigration(job, stop.signal);
}

main().then(
  // Whatever may still be open, a worker that has ended its work must not stay.
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(
      `${new Date().toISOString()} the worker ends: ${error instanceof Error ? (error.stack ?? "") : messageOf(error)}\n`,
    );
    process.exit(1);
  },
);
