import * as pulumi from "@pulumi/pulumi";
import type { WorkerJobInput } from "../worker/context/worker-job.js";
import type { CheckedScheduledArgs, References, RunnerArgs } from "./runner-args.js";
import { poolArguments } from "./worker-pool-args.js";

/** Where a worker's secret files are mounted. */
export const secretsFolder = "/run/pg-migration";

/** Names of the secret files. The job never contains a password that has a file of its own. */
export const secretFiles = {
  job: "job.json",
  targets: "targets.json",
  source: "source-password",
  target: "target-password",
  passfile: "pgpass",
} as const;

/** The port of the HTTP endpoints. */
export const httpPort = 8080;

const pathOf = (file: keyof typeof secretFiles): string => `${secretsFolder}/${secretFiles[file]}`;

/** How an engine starts a process that serves one migration, or a pool. */
export interface WorkerStart {
  readonly args: string[];
  /** The plain settings. */
  readonly environment: Readonly<Record<string, string>>;
  /** Contents of the secret files that are not kept elsewhere. */
  readonly files: Readonly<Partial<Record<keyof typeof secretFiles, pulumi.Output<string>>>>;
}

const defaultEnvironment = { PG_MIGRATION_HTTP: `0.0.0.0:${httpPort}`, PG_MIGRATION_LOG_FORMAT: "json" };

/** @param given may have values that are not known yet; `checked` has all others */
export function workerStart(
  given: RunnerArgs,
  { migrationMode, pool }: Pick<CheckedScheduledArgs, "migrationMode" | "pool">,
  references: References<unknown>,
): WorkerStart {
  if (pool) return poolStart(given.pool!, pool, references);
  const job = pulumi.output(given.job!) as pulumi.Output<WorkerJobInput>;
  return {
    // Offline workers end with the migration, so that their Job completes.
    args: [migrationMode === "Offline" ? "--wait" : "--stay"],
    environment: { PG_MIGRATION_JOB_FILE: pathOf("job"), ...defaultEnvironment },
    files: { job: pulumi.secret(job.apply((known) => jobText(known, references))) },
  };
}

function poolStart(
  { targets, passfile }: NonNullable<RunnerArgs["pool"]>,
  pool: NonNullable<CheckedScheduledArgs["pool"]>,
  references: References<unknown>,
): WorkerStart {
  const isQuery = typeof targets === "string";
  const hasPasswords = (passfile ?? references.passfile) !== undefined;
  return {
    args: poolArguments(pool, isQuery ? targets : pathOf("targets")),
    environment: { ...(hasPasswords && { PG_MIGRATION_PASSFILE: pathOf("passfile") }), ...defaultEnvironment },
    files: {
      ...(!isQuery && { targets: pulumi.output(targets).apply((known) => JSON.stringify(known)) }),
      ...(passfile !== undefined && references.passfile === undefined && { passfile: pulumi.secret(passfile) }),
    },
  };
}

/** The text of the job file. Passwords that are referenced elsewhere are read from their files. */
function jobText(job: WorkerJobInput, references: References<unknown>): string {
  const withFile = (side: "source" | "target"): WorkerJobInput["source"] => {
    if (references[side] === undefined) return job[side];
    const { password: _password, ...server } = job[side];
    return { ...server, passwordFile: pathOf(side) };
  };
  return JSON.stringify({ ...job, source: withFile("source"), target: withFile("target") });
}
