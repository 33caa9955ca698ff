import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { InvalidInputError } from "../errors.js";
import type { WorkerJobInput } from "../worker/context/worker-job.js";
import { poolSchema, type WorkerPoolArgs } from "./worker-pool-args.js";

/** Files whose content an engine may keep elsewhere: a password each, or all passwords of a pool. */
export const referencedFiles = ["source", "target", "passfile"] as const;

/** Where an engine keeps the content of these files. */
export type References<Reference> = { readonly [File in (typeof referencedFiles)[number]]?: Reference };

/** What every runner needs. Runs one migration, or a pool for the migrations of many targets: give either `job` or `pool`. */
export interface RunnerArgs {
  /** The image built from the repository's Dockerfile: `example.azurecr.io/pg-migration:0.1.0`. */
  readonly image: string;
  /**
   * Number of workers. One leads the migration. The others help to copy, and one of them replaces a lost leader. Default 1.
   */
  readonly replicas?: number | undefined;
  /** vCPUs of each worker. Default 2. */
  readonly cpu?: number | undefined;
  /** Memory of each worker in GiB. Default 4. */
  readonly memoryGb?: number | undefined;
  /** The servers and the name of one migration. May contain passwords, so it is sent as a secret. */
  readonly job?: pulumi.Input<WorkerJobInput> | undefined;
  /**
   * Runs all migrations with `runner: "external"` on a list of targets, until the runner is deleted. `replicas` is then the number
   * of pool processes.
   */
  readonly pool?: WorkerPoolArgs | undefined;
}

/** What runners need whose engine distinguishes workers that end from those that stay. */
export interface ScheduledRunnerArgs extends RunnerArgs {
  /**
   * With `job`: the mode of the migration. Offline: the workers end with the migration. Online: they run until it is deleted.
   */
  readonly migrationMode?: "Offline" | "Online" | undefined;
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
  job: z.unknown().optional(),
  pool: poolSchema.optional(),
};

export const scheduledRunnerShape = {
  ...runnerShape,
  migrationMode: z.enum(["Offline", "Online"]).optional(),
  attempt: z.int().min(1).optional(),
};

export type CheckedScheduledArgs = z.output<z.ZodObject<typeof scheduledRunnerShape>>;

interface Mistake {
  readonly property: string;
  readonly reason: string;
}

/** Reports what does not belong to the given kind of work: one migration, or a pool. Pass it to `superRefine`. */
export function checkWork(args: GivenWork, context: z.RefinementCtx): void {
  for (const { property, reason } of workMistakes(args))
    context.addIssue({ code: "custom", path: property.split("."), message: reason });
}

/** With the properties that only some runners have. */
interface GivenWork extends CheckedScheduledArgs {
  readonly passwordSecrets?: References<unknown>;
  readonly keyVaultPasswords?: References<unknown>;
  readonly replicaTimeoutSeconds?: number | undefined;
}

function workMistakes(args: GivenWork): Mistake[] {
  const { job, pool, migrationMode } = args;
  if (job === undefined && !pool)
    return [{ property: "job", reason: "is missing: give job for one migration, or pool for those of many targets" }];
  if (job !== undefined && pool) return [{ property: "pool", reason: "job is also given: remove one of the two" }];
  const foreign = pool ? (["source", "target"] as const) : (["passfile"] as const);
  const mistakes = (["passwordSecrets", "keyVaultPasswords"] as const).flatMap((property) =>
    foreign
      .filter((file) => args[property]?.[file] !== undefined)
      .map((file) => ({
        property: `${property}.${file}`,
        reason: pool ? "a pool has many servers: give passfile" : "only a pool has a passfile: give source and target",
      })),
  );
  if (pool && migrationMode !== undefined)
    mistakes.push({ property: "migrationMode", reason: "a pool runs migrations of both modes: remove it" });
  for (const property of ["attempt", "replicaTimeoutSeconds"] as const)
    if (pool && args[property] !== undefined) mistakes.push({ property, reason: "a pool never ends: remove it" });
  if (!pool && migrationMode === undefined)
    mistakes.push({
      property: "migrationMode",
      reason: "is missing: give the mode of the migration, Offline or Online",
    });
  return mistakes;
}

/** @throws InvalidInputError naming each invalid property of the runner */
export function checkRunnerArgs<Schema extends z.ZodType>(schema: Schema, given: unknown): z.output<Schema> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new InvalidInputError(
    parsed.error.issues.map(({ path, message }) => ({ property: path.join(".") || "runner", reason: message })),
  );
}
