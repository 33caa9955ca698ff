import { z } from "zod";
import { webhookSchema } from "../inputs.js";

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
});

export type Job = z.infer<typeof jobSchema>;
