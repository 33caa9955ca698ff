import { InvalidArgumentError, type Command } from "commander";
import { CanceledError, InvalidInputError } from "../../errors.js";
import { maxWorkers } from "../../inputs/inputs.js";
import { readStatus } from "../../store/read-status.js";
import { withExistingStore } from "../../store/store.js";
import { readTargets } from "../targets/read-targets.js";
import { runPool } from "../../worker/pool/run-pool.js";
import { addPoolOptions, budgetsOf, type PoolFlags } from "../options/pool-options.js";
import { addTargetsOption, type TargetsFlags } from "../options/targets-option.js";
import type { WorkerJob } from "../../worker/context/worker-job.js";
import { namesJob, readJob } from "../../worker/read-worker-job.js";
import { serveMigration } from "../../worker/serve.js";
import { exitCodeOfStatus } from "../exit-code.js";
import { addMigrationOptions, type MigrationFlags } from "../options/migration-options.js";
import { withMigration } from "../migration/open-store.js";
import { recordedInputs } from "../migration/recorded-inputs.js";
import { addSourceOptions, type SourceFlags } from "../options/server-options.js";
import { wholeNumber } from "../options/whole-number.js";

const examples = `
Example of a systemd unit (passwords in its environment or in ~/.pgpass):
  PGPASSWORD=... PG_MIGRATION_SOURCE_PASSWORD=... \\
    pg-migration worker --service prod --name crm

Runs a recorded migration in the foreground until it has ended. If another
worker leads, on any machine, this one shares the copy, and takes over if the
other one fails.

Example of a container, with all arguments in a secret (or in the file that
PG_MIGRATION_JOB_FILE names):
  PG_MIGRATION_JOB='{"migrationName": "crm", "source": {...}, "target": {...}}' \\
    pg-migration worker --stay`;

interface WorkerFlags extends MigrationFlags, SourceFlags, TargetsFlags, PoolFlags {
  readonly stay?: boolean;
  readonly workers?: number;
}

export function addWorker(program: Command): void {
  const command = program.command("worker").description("run a recorded migration in this process");
  addPoolOptions(addTargetsOption(addSourceOptions(addMigrationOptions(command))))
    .optionsGroup("One migration:")
    .option("--stay", "start before the migration, stop when it is deleted")
    .option("--workers <number>", "number of local processes that share the copy", workerCount)
    .addHelpText("after", examples)
    .action(work);
}

function workerCount(text: string): number {
  const number = wholeNumber(text);
  if (number >= 1 && number <= maxWorkers) return number;
  throw new InvalidArgumentError(`expected 1 to ${maxWorkers}`);
}

async function work(flags: WorkerFlags): Promise<void> {
  if (flags.pool) return servePool(flags);
  const job = { ...(await jobOf(flags)), ...(flags.workers === undefined ? {} : { workers: flags.workers }) };
  await serveMigration({ job, stays: flags.stay ?? false, stop: stopSignal() });
  if (!flags.stay) await setExitCode(job);
}

/** Aborts when the process is asked to end. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
    process.once(signal, () => stop.abort(new CanceledError(`the worker received ${signal}`)));
  return stop.signal;
}

async function servePool(flags: WorkerFlags): Promise<void> {
  const list = flags.targets;
  if (list === undefined)
    throw new InvalidInputError([{ property: "--targets", reason: "is missing: give the targets of the pool" }]);
  if (flags.name !== undefined || flags.stay)
    throw new InvalidInputError([
      { property: "--pool", reason: "a pool serves all migrations: remove --name and --stay" },
    ]);
  await runPool({
    readTargets: () => readTargets(list, flags),
    jobOf: async ({ address }, migration) => ({
      ...(await recordedInputs(migration, address.target, flags, false)),
      workers: flags.workers,
    }),
    maxMigrations: flags.maxMigrations ?? 4,
    budgets: budgetsOf(flags),
    stop: stopSignal(),
  });
}

/** @throws InvalidInputError if neither the environment nor a record describes the work */
async function jobOf(flags: WorkerFlags): Promise<WorkerJob> {
  if (namesJob(process.env)) return readJob(process.env);
  if (flags.stay)
    throw new InvalidInputError([
      {
        property: "--stay",
        reason:
          "the servers of a migration that is not recorded yet are unknown; set PG_MIGRATION_JOB or PG_MIGRATION_JOB_FILE",
      },
    ]);
  return withMigration(flags, ({ migration, target }) => recordedInputs(migration, target, flags));
}

const setExitCode = (job: WorkerJob): Promise<void> =>
  withExistingStore(job, "command", async (store) => {
    const status = store && (await readStatus(store, job.migrationName));
    if (status) process.exitCode = exitCodeOfStatus(status);
  });
