import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { RefusedError, messageOf } from "../errors.js";
import { workerJobSchema, type WorkerJob } from "./context/worker-job.js";

/** Whether the environment names a worker job. */
export const namesJob = ({ PG_MIGRATION_JOB_FILE: file, PG_MIGRATION_JOB: json }: NodeJS.ProcessEnv): boolean =>
  file !== undefined || json !== undefined;

/**
 * Reads a worker's job from the first of these sources that exists: the file that `PG_MIGRATION_JOB_FILE` names (a mounted
 * secret), the JSON text in `PG_MIGRATION_JOB` (a container's secret), standard input (`launchWorker` writes to it).
 *
 * @throws RefusedError if the job is invalid; the error does not repeat the text, because it contains secrets
 */
export async function readJob(environment: NodeJS.ProcessEnv): Promise<WorkerJob> {
  const { origin, json } = await jobText(environment);
  const parsed = workerJobSchema.safeParse(parseJson(json));
  if (parsed.success) return parsed.data;
  const wrong = parsed.error.issues.map((issue) => `${issue.path.join(".") || "it"}: ${issue.message}`).join("; ");
  throw new RefusedError(`invalid worker job in ${origin}: ${wrong}`, {
    remedy:
      "give JSON with migrationName, maintenanceDatabase, and source and target with host, port, user, password or auth, and sslMode",
  });
}

async function jobText(environment: NodeJS.ProcessEnv): Promise<{ origin: string; json: string }> {
  const { PG_MIGRATION_JOB_FILE: file, PG_MIGRATION_JOB: json } = environment;
  // Child processes must not inherit the secrets.
  delete environment.PG_MIGRATION_JOB;
  if (file !== undefined) return { origin: file, json: await fileText(file) };
  if (json !== undefined) return { origin: "PG_MIGRATION_JOB", json };
  return { origin: "standard input", json: await text(process.stdin) };
}

async function fileText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new RefusedError(`cannot read the file named by PG_MIGRATION_JOB_FILE: ${messageOf(cause)}`, {
      remedy: "set PG_MIGRATION_JOB_FILE to a file that the worker's user can read",
      cause,
    });
  }
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    // Node's error message would contain part of the text.
    return undefined;
  }
}
