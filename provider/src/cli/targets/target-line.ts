import { z } from "zod";
import { authenticationSchema } from "../../inputs/authentication.js";
import { hostSchema } from "../../inputs/server.js";

const text = z.string().min(1, "give a value, or leave the key out");

/** Passwords do not belong into a list, which many people read. The message never repeats the value. */
const noPassword = z
  .never({ error: "a list contains no passwords: give passwordEnv, passwordFile or auth, or add a line to ~/.pgpass" })
  .optional();

/** One target in a list, as in a file or in the answer of Azure Resource Graph. */
export const targetLineSchema = z
  .strictObject({
    name: text.optional(),
    host: hostSchema.optional(),
    port: z.union([z.string(), z.number()]).transform(String).optional(),
    user: text.optional(),
    sslMode: text.optional(),
    sslRootCert: text.optional(),
    auth: z.union([text, authenticationSchema]).optional(),
    service: text.optional(),
    maintenanceDatabase: text.optional(),
    passwordEnv: text.optional(),
    passwordFile: text.optional(),
    password: noPassword,
  })
  .superRefine(({ host, service, passwordEnv, passwordFile }, context) => {
    if (host === undefined && service === undefined)
      context.addIssue({ code: "custom", path: ["host"], message: "is missing: give the target's host, or a service" });
    if (passwordEnv !== undefined && passwordFile !== undefined)
      context.addIssue({ code: "custom", path: ["passwordFile"], message: "passwordEnv is also given: remove one" });
  });

export type TargetLine = z.infer<typeof targetLineSchema>;
