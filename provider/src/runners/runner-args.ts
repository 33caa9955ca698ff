import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { InvalidInputError } from "../errors.js";
import type { WorkerJobInput } from "../worker/context/worker-job.js";

/** What every runner needs. */
export interface RunnerArgs {
  /** The image built from the repository's Dockerfile: `example.azurecr.io/pg-migration:0.1.0`. */
  readonly image: string;
  /** May contain passwords, so it is sent as a secret. */
  readonly job: pulumi.Input<WorkerJobInput>;
  /** Number of workers. One leads the migration. The others help to copy, and one of them replaces a lost leader. Default 1. */
  readonly replicas?: number | undefined;
  /** vCPUs of each worker. Default 2. */
  readonly cpu?: number | undefined;
  /** Memory of each worker in GiB. Default 4. */
  readonly memoryGb?: number | undefined;
}

/** What runners need that treat offline and online migrations differently. */
export interface ScheduledRunnerArgs extends RunnerArgs {
  /** The mode of the migration. Offline: the workers end with the migration. Online: they run until it is deleted. */
  readonly migrationMode: "Offline" | "Online";
  /**
   * Increase it to start the workers of an offline migration again, after they ended with a failure that only you could
   * correct. Default 1.
   */
  readonly attempt?: number | undefined;
}

/** A name of a Kubernetes or Container Apps resource (RFC 1123). */
const nameSchema = z
  .string()
  .regex(/^[a-z]([a-z0-9-]{0,50}[a-z0-9])?$/, "expected up to 52 lower-case letters, digits and hyphens");

/** The properties of {@link RunnerArgs} that are known before the deployment. */
export const runnerShape = {
  name: nameSchema,
  image: z
    .string()
    .regex(/^[\w.-]+(:\d+)?(\/[\w.-]+)*(:[\w.-]+)?(@sha256:[0-9a-f]{64})?$/, "expected registry/repository:tag"),
  replicas: z.int().min(1).max(32).default(1),
  cpu: z.number().min(0.25).max(64).default(2),
  memoryGb: z.number().min(0.5).max(512).default(4),
};

export const scheduledRunnerShape = {
  ...runnerShape,
  migrationMode: z.enum(["Offline", "Online"]),
  attempt: z.int().min(1).default(1),
};

/** @throws InvalidInputError naming each invalid property of the runner */
export function checkRunnerArgs<Schema extends z.ZodType>(schema: Schema, given: unknown): z.output<Schema> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new InvalidInputError(
    parsed.error.issues.map(({ path, message }) => ({ property: path.join(".") || "runner", reason: message })),
  );
}
