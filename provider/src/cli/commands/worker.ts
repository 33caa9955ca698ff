import { InvalidArgumentError, Option, type Command } from "commander";
import { CanceledError, InvalidInputError, messageOf } from "../../errors.js";
import { maxWorkers } from "../../inputs/inputs.js";
import { readStatus } from "../../store/read-status.js";
import { withExistingStore } from "../../store/store.js";
import { readTargets } from "../targets/read-targets.js";
import { WorkerPool } from "../../worker/pool/worker-pool.js";
import { addPoolOptions, budgetsOf, type PoolFlags } from "../options/pool-options.js";
import { addTargetsOption, type TargetsFlags } from "../options/targets-option.js";
import type { WorkerJob } from "../../worker/context/worker-job.js";
import { namesJob, readJob } from "../../worker/read-worker-job.js";
import { serveMigration } from "../../worker/serve.js";
import { exitCodeOfSignal, exitCodes, stopSignals } from "../../exit-codes.js";
import { log } from "../../log.js";
import type { MigrationStatus } from "../../status.js";
import { exitCodeOfStatus } from "../exit-code.js";
import { allowedHostOption } from "../options/allowed-hosts.js";
import { listenAddress } from "../options/listen-address.js";
import { type ListenAddress, WorkerEndpoints, type WorkerEndpointsOptions } from "../worker/worker-endpoints.js";
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
    pg-migration worker --stay --http 0.0.0.0:8080

With --wait instead of --stay it ends with the migration, as a Job requires.
Stopped by a signal, it exits with 128 and the number of the signal.`;

interface WorkerFlags extends MigrationFlags, SourceFlags, TargetsFlags, PoolFlags {
  readonly wait?: boolean;
  readonly stay?: boolean;
  readonly http?: ListenAddress;
  readonly allowedHost?: readonly string[];
  readonly workers?: number;
}

export function addWorker(program: Command): void {
  const command = program.command("worker").description("run a recorded migration in this process");
  addPoolOptions(addTargetsOption(addSourceOptions(addMigrationOptions(command))))
    .optionsGroup("A worker or a pool:")
    .addOption(
      new Option("--http <[address:]port>", "serve /healthz, /readyz and /metrics")
        .env("PG_MIGRATION_HTTP")
        .argParser(listenAddress),
    )
    .addOption(allowedHostOption("additional Host names that /metrics accepts"))
    .option("--workers <number>", "number of local processes that share the copy", workerCount)
    .optionsGroup("One migration:")
    .option("--wait", "start before the migration, stop when it has ended")
    .option("--stay", "start before the migration, stop when it is deleted")
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
  const stop = stopSignal((signal) => (process.exitCode = exitCodeOfSignal(signal)));
  const stays = flags.stay ?? false;
  const waits = stays || (flags.wait ?? false);
  const readMigrations = async () => {
    const status = await recordedStatus(job);
    return status ? [{ name: job.migrationName, status }] : [];
  };
  const endpoints = await listen(flags, { readMigrations, stop });
  try {
    await serveMigration({ job, waits, stays, stop });
  } catch (error) {
    // A failure of the stopped work must not replace the exit code of the signal.
    if (!stop.aborted) throw error;
    log.warn(messageOf(error));
  } finally {
    await endpoints?.close();
  }
  if (!stays && !stop.aborted) await setExitCode(job, waits);
}

const listen = async (
  { http, allowedHost: allowedHosts }: WorkerFlags,
  options: Pick<WorkerEndpointsOptions, "readMigrations" | "pool" | "stop">,
): Promise<WorkerEndpoints | undefined> =>
  http && (await WorkerEndpoints.listen({ listen: http, allowedHosts, ...options }));

/** Aborts when the process is asked to end. */
function stopSignal(onSignal?: (signal: (typeof stopSignals)[number]) => void): AbortSignal {
  const stop = new AbortController();
  for (const signal of stopSignals)
    process.once(signal, () => {
      onSignal?.(signal);
      stop.abort(new CanceledError(`the worker received ${signal}`));
    });
  return stop.signal;
}

async function servePool(flags: WorkerFlags): Promise<void> {
  const list = flags.targets;
  if (list === undefined)
    throw new InvalidInputError([{ property: "--targets", reason: "is missing: give the targets of the pool" }]);
  if (flags.name !== undefined || flags.stay || flags.wait)
    throw new InvalidInputError([
      { property: "--pool", reason: "a pool serves all migrations: remove --name, --stay and --wait" },
    ]);
  const stop = stopSignal();
  const pool = new WorkerPool({
    readTargets: () => readTargets(list, flags),
    jobOf: async ({ address }, migration) => ({
      ...(await recordedInputs(migration, address.target, flags, false)),
      workers: flags.workers,
    }),
    maxMigrations: flags.maxMigrations ?? 4,
    budgets: budgetsOf(flags),
    stop,
  });
  const readMigrations = () => pool.migrations();
  const endpoints = await listen(flags, { readMigrations, pool, stop });
  try {
    await pool.run();
  } finally {
    await endpoints?.close();
  }
}

/** @throws InvalidInputError if neither the environment nor a record describes the work */
async function jobOf(flags: WorkerFlags): Promise<WorkerJob> {
  if (namesJob(process.env)) return readJob(process.env);
  if (flags.stay || flags.wait)
    throw new InvalidInputError([
      {
        property: flags.stay ? "--stay" : "--wait",
        reason:
          "the servers of a migration that is not recorded yet are unknown; set PG_MIGRATION_JOB or PG_MIGRATION_JOB_FILE",
      },
    ]);
  return withMigration(flags, ({ migration, target }) => recordedInputs(migration, target, flags));
}

const recordedStatus = (job: WorkerJob): Promise<MigrationStatus | undefined> =>
  withExistingStore(job, "command", async (store) => store && readStatus(store, job.migrationName));

async function setExitCode(job: WorkerJob, waited: boolean): Promise<void> {
  const status = await recordedStatus(job);
  if (status) process.exitCode = exitCodeOfStatus(status);
  // A worker that waited has seen the migration, and ends with its deletion.
  else if (!waited) process.exitCode = exitCodes.notFound;
}
