import { targetDatabase } from "./target-database.js";

/** The maintenance database of most servers. */
export const usualMaintenanceDatabase = "postgres";

/** The database that is created for the records if they cannot be in the maintenance database. */
export const recordsDatabase = "pgmigration";

/**
 * The maintenance database if none is given. It cannot be one that the migration replaces.
 *
 * @example defaultMaintenanceDatabase({ dbsToMigrate: ["postgres"], databaseNames: {} }) === "pgmigration"
 */
export const defaultMaintenanceDatabase = (spec: {
  readonly dbsToMigrate: readonly string[];
  readonly databaseNames: Readonly<Record<string, string>>;
}): string =>
  spec.dbsToMigrate.some((database) => targetDatabase(spec, database) === usualMaintenanceDatabase)
    ? recordsDatabase
    : usualMaintenanceDatabase;
