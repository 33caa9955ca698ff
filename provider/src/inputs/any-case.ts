import { z } from "zod";

/**
 * The known name that is equal to the given one except for its case, otherwise the given one. Azure's API and command
 * ignore the case of keys and values.
 *
 * @example knownSpelling("DBSTOMIGRATE", ["dbsToMigrate"]) === "dbsToMigrate"
 */
export const knownSpelling = (given: string, known: readonly string[]): string =>
  known.find((name) => name.toLowerCase() === given.toLowerCase()) ?? given;

/**
 * Accepts one of the values in any case, and returns it in its documented spelling.
 *
 * @example anyCase(["Offline", "Online"]).parse("offline") === "Offline"
 */
export const anyCase = <const Values extends readonly string[]>(values: Values) =>
  z.preprocess((given) => (typeof given === "string" ? knownSpelling(given, values) : given), z.enum(values));
