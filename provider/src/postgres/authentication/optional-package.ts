import { RefusedError, isModuleMissing } from "../../errors.js";

/**
 * Imports the package of a platform, an optional peer dependency: most migrations need none, and each has many megabytes.
 *
 * @throws RefusedError if the package is not installed
 * @example await optionalPackage("@azure/identity", () => import("@azure/identity"));
 */
export async function optionalPackage<Module>(name: string, load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch (cause) {
    if (!isModuleMissing(cause)) throw cause;
    throw new RefusedError(`auth needs the package ${name}, which is not installed`, {
      remedy: `npm install ${name}`,
      code: "PGM-105",
      cause,
    });
  }
}
