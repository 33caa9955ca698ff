import { z } from "zod";
import { usesToken, type Authentication } from "../postgres/authentication/authentication.js";

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

/** Authorities and scopes of Microsoft's clouds. */
const publicEntra =
  /^https:\/\/(login\.microsoftonline\.(com|us)|login\.(partner\.microsoftonline|chinacloudapi)\.cn|ossrdbms-aad\.database\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn))(\/|\/\.default)?$/;

/**
 * The authentication in a record, as far as it may be used on another machine. A role that can write the records must not
 * choose a command that this machine runs. Nor may it choose which of this machine's tokens are sent, or where secrets are sent.
 *
 * @example trustedAuthentication({ kind: "command", command: "rm -rf ~" }) === undefined
 */
export function trustedAuthentication(recorded: unknown): Authentication | undefined {
  const auth = authenticationSchema.safeParse(recorded).data;
  if (!usesToken(auth)) return undefined;
  if (auth.kind !== "entra") return auth;
  const { authorityHost, scope, ...rest } = auth;
  return {
    ...rest,
    ...(authorityHost !== undefined && publicEntra.test(authorityHost) ? { authorityHost } : {}),
    ...(scope !== undefined && publicEntra.test(scope) ? { scope } : {}),
  };
}
