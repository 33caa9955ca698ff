import { z } from "zod";
import { azureExtensions } from "./azure-extensions";
import { knownParameters } from "./known-parameters";
import { text } from "./scalar-schemas";
import { expected, unknownName } from "./schema-messages";

const parameterNames = new Set(knownParameters.map((name) => name.toLowerCase()));

const extension = z
  .string()
  .transform((name) => name.toLowerCase())
  .refine((name) => azureExtensions.includes(name), {
    error: ({ input }) => unknownName("extension", String(input), azureExtensions),
  });

/** The name of a parameter. Parameters of extensions have a dot, and only Azure has the complete list of these. */
const parameterName = z
  .string()
  .regex(/^[a-z_][a-z0-9_.-]*$/i, expected("the name of a server parameter"))
  .refine((name) => name.includes(".") || parameterNames.has(name.toLowerCase()), {
    error: ({ input }) => unknownName("server parameter", String(input), knownParameters),
  });

export const parametersSchema = z.strictObject({
  /** Extensions that the databases of the source use. */
  extensions: z.array(extension).default(["tablefunc", "uuid-ossp"]),
  /** Prepares the server as the source of a rollback or of a later migration. */
  isSource: z.boolean().default(false),
  /** Further parameters by their PostgreSQL name. They override the values that the lab sets. */
  more: z.record(parameterName, text).default({}),
  /** Settings that differ on the source: ignore them, show each as a warning, or set them on the server. */
  fromSource: z.enum(["ignore", "propose", "apply"]).default("ignore"),
});
