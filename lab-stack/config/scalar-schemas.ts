import { z } from "zod";
import { expected } from "./schema-messages";

/** A string. `pulumi config set --path` turns text such as `17` or `true` into a number or a boolean. */
export const text = z.union([z.string(), z.number(), z.boolean()], expected("a string")).transform(String);

/** A boolean. Values of Pulumi's configuration are strings at the top level, so it arrives as "true". */
export const flag = z.union([z.boolean(), z.stringbool()], expected("true or false"));

/** The id of a resource in Azure Resource Manager. @param command the az command that prints it */
export const resourceId = (type: string, command: string) =>
  z
    .string()
    .regex(
      new RegExp(`^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/${type.replaceAll(".", "\\.")}/[^/]+$`, "i"),
      expected(`a resource id, as ${command} --query id prints it`),
    );

export const tenantId = z.guid(expected("the id of the Entra tenant"));

/** Availability zones that a region of Azure can have. */
export const zone = text.pipe(z.enum(["1", "2", "3"]));
