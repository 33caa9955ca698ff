import { z } from "zod";
import type { SslMode } from "../../postgres/connection/connect.js";
import { mostWorkers, webhookSchema } from "../../inputs/inputs.js";

const endpointSchema = z.object({
  host: z.string(),
  port: z.number().default(5432),
  user: z.string(),
  password: z.string().optional(),
  passwordCommand: z.string().optional(),
  sslMode: z.enum(["Disable", "Prefer", "Require", "VerifyCA", "VerifyFull"]).default("Prefer"),
  sslRootCert: z.string().optional(),
});

/** What a worker is told, apart from what the store says: how to reach the servers. The secrets are in it. */
export const jobSchema = z.object({
  migrationName: z.string(),
  maintenanceDatabase: z.string().default("postgres"),
  source: endpointSchema,
  target: endpointSchema,
  webhook: webhookSchema.optional(),
  workers: z.number().int().min(1).max(mostWorkers).optional(),
});

export type Job = z.infer<typeof jobSchema>;

/** A server as a worker's job has it. */
export interface WorkerServer {
  readonly host: string;
  /** Default 5432. */
  readonly port?: number | undefined;
  readonly user: string;
  readonly password?: string | undefined;
  /** Run at every connection instead; its standard output is the password. */
  readonly passwordCommand?: string | undefined;
  /** Default Prefer. */
  readonly sslMode?: SslMode | undefined;
  /** Certificates to trust instead of the system's: PEM text, or the path of a PEM file. */
  readonly sslRootCert?: string | undefined;
}

/** What a worker is told, as JSON, in `PG_MIGRATION_JOB` or in the file that `PG_MIGRATION_JOB_FILE` names. Secret. */
export interface WorkerJob {
  readonly migrationName: string;
  /** The target's database that holds the migration's records. Default postgres. */
  readonly maintenanceDatabase?: string | undefined;
  readonly source: WorkerServer;
  readonly target: WorkerServer;
  /** Told of each change of state. */
  readonly webhook?: { readonly url: string; readonly secret?: string | undefined } | undefined;
  /** Processes that share the copy on this machine while this one leads it; what the migration says unless given. */
  readonly workers?: number | undefined;
}
