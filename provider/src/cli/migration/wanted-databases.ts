import { InvalidInputError } from "../../errors.js";
import { serviceDatabases } from "../../inputs/service-databases.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import type { Database } from "../../postgres/databases.js";
import { databasesOf } from "../../resource/databases/matching-databases.js";
import { selectedDatabases } from "../options/migration-inputs.js";

/**
 * The databases of the source that a list selects; without a list, all except those of the server or its service.
 *
 * @throws InvalidInputError naming databases that do not exist, or patterns that match nothing
 */
export async function wantedDatabases(source: Endpoint, list: readonly string[] | undefined): Promise<Database[]> {
  const present = await databasesOf(source, list);
  if (!list) return present.filter(({ name }) => !serviceDatabases.includes(name));
  const wanted = await selectedDatabases(source, list, present);
  const missing = wanted.filter((one) => !present.some(({ name }) => name === one));
  if (missing.length === 0) return present.filter(({ name }) => wanted.includes(name));
  const reason = `${source.host}:${source.port} has no database ${missing.join(", ")}`;
  throw new InvalidInputError([{ property: "dbsToMigrate", reason }]);
}
