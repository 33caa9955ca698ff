import { z } from "zod";
import type { Authentication } from "../postgres/authentication/authentication.js";

const entraSchema = z.strictObject({
  kind: z.literal("entra"),
  credential: z.enum(["default", "managedIdentity", "workloadIdentity", "environment", "azureCli"]).optional(),
  clientId: z.string().min(1, "give the client id of an identity").optional(),
  tenantId: z.string().min(1, "give the id of an Entra tenant").optional(),
  authorityHost: z.url({ protocol: /^https$/, error: "give an address that starts with https://" }).optional(),
  scope: z
    .string()
    .regex(/^https:\/\/\S+\/\.default$/, "give a scope such as https://.../.default")
    .optional(),
});

const rdsIamSchema = z.strictObject({
  kind: z.literal("rdsIam"),
  region: z.string().min(1, "give the region of the server").optional(),
  profile: z.string().min(1, "give a section of the AWS configuration files").optional(),
});

const commandSchema = z.strictObject({
  kind: z.literal("command"),
  command: z.string().min(1, "give a command that prints the password"),
});

/** How a role logs in without a stored password. */
export const authenticationSchema: z.ZodType<Authentication> = z.discriminatedUnion(
  "kind",
  [entraSchema, rdsIamSchema, z.strictObject({ kind: z.literal("cloudSqlIam") }), commandSchema],
  { error: 'give the kind: "entra", "rdsIam", "cloudSqlIam" or "command"' },
);
