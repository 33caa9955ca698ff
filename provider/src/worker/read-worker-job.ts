import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { z } from "zod";
import { InvalidInputError, messageOf } from "../errors.js";
import { workerJobSchema, type WorkerJob } from "./context/worker-job.js";

/** Whether the environment names a worker job. */
export const namesJob = ({ PG_MIGRATION_JOB_FILE: file, PG_MIGRATION_JOB: json }: NodeJS.ProcessEnv): boolean =>
  file !== undefined || json !== undefined;

/**
 * Reads a worker's job from the first of these sources that exists:
 *
 * 1. the file that `PG_MIGRATION_JOB_FILE` names, such as a mounted secret
 * 2. the JSON text in `PG_MIGRATION_JOB`, such as a container's secret
 * 3. standard input, to which `launchWorker` writes
 *
 * @throws InvalidInputError if the job is invalid; the error does not repeat the text, because it contains secrets
 */
export async function readJob(environment: NodeJS.ProcessEnv): Promise<WorkerJob> {
  const { origin, json } = await jobText(environment);
  const given = jobWithFilesSchema.safeParse(parseJson(json));
  if (!given.success) throw invalid(origin, given.error);
  const [source, target] = [await withPassword(given.data, "source"), await withPassword(given.data, "target")];
  const parsed = workerJobSchema.safeParse({ ...given.data, source, target });
  if (parsed.success) return parsed.data;
  throw invalid(origin, parsed.error);
}

const format =
  "expected JSON with migrationName, maintenanceDatabase, and source and target with host, port, user, " +
  "password, passwordFile or auth, and sslMode";

function invalid(origin: string, { issues }: z.ZodError): InvalidInputError {
  const wrong = issues.map((issue) => `${issue.path.join(".") || "it"}: ${issue.message}`).join("; ");
  return new InvalidInputError([{ property: origin, reason: `invalid worker job: ${wrong}; ${format}` }]);
}

/** A server whose password may be in a file. */
const serverWithFileSchema = z.looseObject({ passwordFile: z.string().min(1).optional() });
const jobWithFilesSchema = z.looseObject({ source: serverWithFileSchema, target: serverWithFileSchema });

/** The server with the content of its password file. A line break at the end, as editors write it, is removed. */
async function withPassword(
  job: z.infer<typeof jobWithFilesSchema>,
  side: "source" | "target",
): Promise<Record<string, unknown>> {
  const { passwordFile, ...server } = job[side];
  if (passwordFile === undefined) return server;
  return { ...server, password: (await fileText(passwordFile, `${side}.passwordFile`)).replace(/\r?\n$/, "") };
}

async function jobText(environment: NodeJS.ProcessEnv): Promise<{ origin: string; json: string }> {
  const { PG_MIGRATION_JOB_FILE: file, PG_MIGRATION_JOB: json } = environment;
  // Child processes must not inherit the secrets.
  delete environment.PG_MIGRATION_JOB;
  if (file !== undefined) return { origin: file, json: await fileText(file, "PG_MIGRATION_JOB_FILE") };
  if (json !== undefined) return { origin: "PG_MIGRATION_JOB", json };
  return { origin: "standard input", json: await text(process.stdin) };
}

async function fileText(file: string, namedBy: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    const reason = `cannot read the file: ${messageOf(cause)}; name a file that the worker's user can read`;
    throw new InvalidInputError([{ property: namedBy, reason }]);
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
