import { z } from "zod";

const endpointSchema = z.object({
  host: z.string(),
  port: z.number(),
  user: z.string(),
  password: z.string(),
  sslMode: z.enum(["Disable", "Prefer", "Require", "VerifyCA", "VerifyFull"]),
  sslRootCert: z.string().optional(),
});

/** What a worker is told on its standard input, and nowhere else: the secrets are in it. */
export const jobSchema = z.object({
  migrationName: z.string(),
  maintenanceDatabase: z.string(),
  source: endpointSchema,
  target: endpointSchema,
});

export type Job = z.infer<typeof jobSchema>;
