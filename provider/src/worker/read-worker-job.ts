import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { Refused, messageOf } from "../errors.js";
import { jobSchema, type Job } from "./context/worker-job.js";

/** Whether an environment says where a job is. */
export const namesJob = ({ PG_MIGRATION_JOB_FILE: file, PG_MIGRATION_JOB: json }: NodeJS.ProcessEnv): boolean =>
  file !== undefined || json !== undefined;

/**
 * Where a worker's job comes from, the first that there is: the file that `PG_MIGRATION_JOB_FILE` names (a mounted
 * secret), the JSON text in `PG_MIGRATION_JOB` (a container's secret), standard input (what `launchWorker` writes to).
 *
 * @throws Refused when it is no job; what it says instead is not repeated, for secrets are in it
 */
export async function readJob(environment: NodeJS.ProcessEnv): Promise<Job> {
  const { origin, json } = await jobText(environment);
  const parsed = jobSchema.safeParse(parseJson(json));
  if (parsed.success) return parsed.data;
  const wrong = parsed.error.issues.map((issue) => `${issue.path.join(".") || "it"}: ${issue.message}`).join("; ");
  throw new Refused(`${origin} holds no worker's job: ${wrong}`, {
    remedy:
      "give JSON with migrationName, maintenanceDatabase, and source and target with host, port, user, password or passwordCommand, and sslMode",
  });
}

async function jobText(environment: NodeJS.ProcessEnv): Promise<{ origin: string; json: string }> {
  const { PG_MIGRATION_JOB_FILE: file, PG_MIGRATION_JOB: json } = environment;
  // Not for the children that this process may start.
  delete environment.PG_MIGRATION_JOB;
  if (file !== undefined) return { origin: file, json: await fileText(file) };
  if (json !== undefined) return { origin: "PG_MIGRATION_JOB", json };
  return { origin: "standard input", json: await text(process.stdin) };
}

async function fileText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new Refused(`the file that PG_MIGRATION_JOB_FILE names cannot be read: ${messageOf(cause)}`, {
      remedy: "name a file that the worker's user can read",
      cause,
    });
  }
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    // Node's message would repeat some of the text.
    return undefined;
  }
}
