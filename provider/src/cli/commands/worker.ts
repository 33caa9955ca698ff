import { InvalidArgumentError, type Command } from "commander";
import { Canceled, InvalidInput } from "../../errors.js";
import { mostWorkers } from "../../inputs/inputs.js";
import { readStatus } from "../../store/read-status.js";
import { Store } from "../../store/store.js";
import type { Job } from "../../worker/context/worker-job.js";
import { namesJob, readJob } from "../../worker/read-worker-job.js";
import { serveMigration } from "../../worker/serve.js";
import { exitCodeOfStatus } from "../exit-code.js";
import { addMigrationOptions, type MigrationFlags } from "../options/migration-options.js";
import { withMigration } from "../migration/open-store.js";
import { recordedInputs } from "../recorded-inputs.js";
import { addSourceOptions, type SourceFlags } from "../options/server-options.js";
import { wholeNumber } from "../options/whole-number.js";

const examples = `
Example, as a systemd unit runs it (passwords in its environment, or in ~/.pgpass):
  PGPASSWORD=... PG_MIGRATION_SOURCE_PASSWORD=... pg-migration worker --service prod --name crm

It does the work of a recorded migration in the foreground, and ends when that has ended. While another worker leads, on
whatever machine, it shares the copy, and takes the lead where that one dies.

Example, as a container runs it, with everything in one secret (or in a file that PG_MIGRATION_JOB_FILE names):
  PG_MIGRATION_JOB='{"migrationName": "crm", "source": {...}, "target": {...}}' pg-migration worker --stay`;

interface WorkerFlags extends MigrationFlags, SourceFlags {
  readonly stay?: boolean;
  readonly workers?: number;
}

export function addWorker(program: Command): void {
  const command = program.command("worker").description("do a recorded migration's work in this process");
  addSourceOptions(addMigrationOptions(command))
    .option(
      "--stay",
      "wait until the migration is recorded, stand by while another worker has it, and go on until it is deleted",
    )
    .option("--workers <number>", "processes of this machine that share the copy while this one leads it", workerCount)
    .addHelpText("after", examples)
    .action(work);
}

function workerCount(text: string): number {
  const number = wholeNumber(text);
  if (number >= 1 && number <= mostWorkers) return number;
  throw new InvalidArgumentError(`give a number from 1 to ${mostWorkers}`);
}

async function work(flags: WorkerFlags): Promise<void> {
  const job = { ...(await jobOf(flags)), ...(flags.workers === undefined ? {} : { workers: flags.workers }) };
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
    process.once(signal, () => stop.abort(new Canceled(`the worker was told to stop by ${signal}`)));
  await serveMigration({ job, stays: flags.stay ?? false, stop: stop.signal });
  if (!flags.stay) await tellEnd(job);
}

/** @throws InvalidInput when nothing says what to do */
async function jobOf(flags: WorkerFlags): Promise<Job> {
  if (namesJob(process.env)) return readJob(process.env);
  if (flags.stay)
    throw new InvalidInput([
      {
        property: "--stay",
        reason: "a migration that is not recorded yet says nothing: give PG_MIGRATION_JOB or PG_MIGRATION_JOB_FILE",
      },
    ]);
  return withMigration(flags, ({ migration, target }) => recordedInputs(migration, target, flags));
}

async function tellEnd(job: Job): Promise<void> {
  const store = await Store.find(job, "command");
  try {
    const status = store && (await readStatus(store, job.migrationName));
    if (status) process.exitCode = exitCodeOfStatus(status);
  } finally {
    await store?.close();
  }
}
