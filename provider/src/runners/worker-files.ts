import type { WorkerJobInput } from "../worker/context/worker-job.js";

/** Where a worker's secret files are mounted. */
export const secretsFolder = "/run/pg-migration";

/** Names of the secret files. The job never contains a password that has a file of its own. */
export const secretFiles = { job: "job.json", source: "source-password", target: "target-password" } as const;

/** The port of the worker's HTTP endpoints. */
export const httpPort = 8080;

/** The plain settings of a worker whose job is a file. */
export const workerEnvironment: Readonly<Record<string, string>> = {
  PG_MIGRATION_JOB_FILE: `${secretsFolder}/${secretFiles.job}`,
  PG_MIGRATION_HTTP: `0.0.0.0:${httpPort}`,
  PG_MIGRATION_LOG_FORMAT: "json",
};

/** Offline workers end with the migration, so that their Job completes. */
export const workerArguments = (mode: "Offline" | "Online"): string[] => [mode === "Offline" ? "--wait" : "--stay"];

type Side = "source" | "target";

/** The text of the job file. Passwords that are referenced elsewhere are read from their files. */
export function jobText(job: WorkerJobInput, references: Readonly<Partial<Record<Side, unknown>>>): string {
  const withFile = (side: Side): WorkerJobInput[Side] => {
    if (references[side] === undefined) return job[side];
    const { password: _password, ...server } = job[side];
    return { ...server, passwordFile: `${secretsFolder}/${secretFiles[side]}` };
  };
  return JSON.stringify({ ...job, source: withFile("source"), target: withFile("target") });
}
