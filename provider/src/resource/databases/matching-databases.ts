import { InvalidInputError } from "../../errors.js";
import { isPattern, selectDatabases } from "../../inputs/database-patterns.js";
import { withAnyDatabase } from "../../postgres/connection/any-database.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { type Database, listDatabases } from "../../postgres/databases.js";
import { enumerate } from "../../units/enumerate.js";

/** At most this many names are shown. */
const shown = 50;

/**
 * Reads the source's databases, in a session in any database that the role may enter.
 *
 * @param list names and patterns; a session in a named database is tried first
 * @throws RefusedError, UnreachableError when the source cannot be read
 */
export const databasesOf = (source: Endpoint, list: readonly string[] = []): Promise<Database[]> =>
  withAnyDatabase(
    { endpoint: source, preferred: list.filter((entry) => !isPattern(entry)), purpose: "list databases" },
    listDatabases,
  );

/**
 * The databases of the source that a list of names, patterns and exclusions selects now.
 *
 * @param note takes what the list selects, and exclusions without effect
 * @param known the source's databases, if they were read already
 * @throws InvalidInputError naming patterns that match nothing, and the databases of the source
 * @throws RefusedError, UnreachableError when the source cannot be read
 * @example await matchingDatabases(source, ["app_*", "!app_test"], console.error) // ["app_1", "app_2"]
 */
export async function matchingDatabases(
  source: Endpoint,
  list: readonly string[],
  note: (line: string) => void,
  known?: readonly Database[],
): Promise<readonly string[]> {
  const present = known ?? (await databasesOf(source, list));
  const { databases, unmatched, unused } = selectDatabases(list, present);
  const where = `${source.host}:${source.port}`;
  if (unmatched.length > 0 || databases.length === 0) {
    const names = selectDatabases(["*"], present).databases;
    const wrong = unmatched.length > 0 ? `${unmatched.join(", ")} matches` : `${list.join(", ")} leaves`;
    const others =
      names.length > 0 ? `its databases are ${enumerate(names, shown)}` : "it has none that a pattern matches";
    throw new InvalidInputError([{ property: "dbsToMigrate", reason: `${wrong} no database of ${where}; ${others}` }]);
  }
  note(`dbsToMigrate ${list.join(", ")} selects on ${where}: ${enumerate(databases, shown)}`);
  if (unused.length > 0) note(`dbsToMigrate ${unused.join(", ")} excludes nothing on ${where}`);
  return databases;
}
