import { z } from "zod";
import type { Authentication } from "../../postgres/authentication/authentication.js";
import type { SslMode } from "../../postgres/connection/endpoint.js";
import { budgetsSchema } from "../budgets/budget.js";
import { endpointSchema } from "../../inputs/server.js";
import { maxWorkers, webhookSchema } from "../../inputs/inputs.js";

/** The input of a worker process: how to reach both servers. Contains secrets. Everything else is in the store. */
export const workerJobSchema = z.object({
  migrationName: z.string(),
  maintenanceDatabase: z.string().default("postgres"),
  source: endpointSchema,
  target: endpointSchema,
  webhook: webhookSchema.optional(),
  workers: z.number().int().min(1).max(maxWorkers).optional(),
  /** Set by a pool. */
  budgets: budgetsSchema.optional(),
});

export type WorkerJob = z.infer<typeof workerJobSchema>;

/** A server in a worker job. */
export interface WorkerServer {
  readonly host: string;
  /** Default 5432. */
  readonly port?: number | undefined;
  readonly user: string;
  readonly password?: string | undefined;
  /** Instead of `password`: the path of a file with the password, such as a mounted secret. The worker reads it when it starts. */
  readonly passwordFile?: string | undefined;
  /** Instead of `password`. */
  readonly auth?: Authentication | undefined;
  /** Default Prefer, or Require for tokens. */
  readonly sslMode?: SslMode | undefined;
  /** Certificates to trust instead of the system's: PEM text, or the path of a PEM file. */
  readonly sslRootCert?: string | undefined;
}

/** A worker job: JSON in `PG_MIGRATION_JOB`, or in the file named by `PG_MIGRATION_JOB_FILE`. Contains secrets. */
export interface WorkerJobInput {
  readonly migrationName: string;
  /** The target's database that holds the migration's records. Default postgres. */
  readonly maintenanceDatabase?: string | undefined;
  readonly source: WorkerServer;
  readonly target: WorkerServer;
  /** Receives a POST request for each change of state. */
  readonly webhook?: { readonly url: string; readonly secret?: string | undefined } | undefined;
  /** Number of processes that copy on this machine while this worker leads. Default: the migration's `workers`. */
  readonly workers?: number | undefined;
}

/** Command-line argument of a worker that applies a stream for another worker. The name of its pool process follows. */
export const borrowArgument = "borrow";

/** Command-line argument of a copy helper. */
export const shareArgument = "share";
