import type { MigrationSpec } from "./inputs.js";

/** The target's name of a database on the source. */
export function targetDatabase(
  { databaseNames }: { readonly databaseNames: Readonly<Record<string, string>> },
  database: string,
): string {
  // A database may be named "constructor".
  return Object.hasOwn(databaseNames, database) ? databaseNames[database]! : database;
}

/** The target's names of the databases that the migration drops before its copy, if they exist. */
export const replacedDatabases = (
  spec: Pick<MigrationSpec, "overwriteDbsInTarget" | "dataOnly" | "migrationOption" | "dbsToMigrate" | "databaseNames">,
): readonly string[] =>
  spec.overwriteDbsInTarget && !spec.dataOnly && spec.migrationOption !== "Validate"
    ? spec.dbsToMigrate.map((database) => targetDatabase(spec, database))
    : [];

/** The source's name of a database on the target, by which findings and status name it. */
export const sourceDatabase = (
  spec: { readonly dbsToMigrate: readonly string[]; readonly databaseNames: Readonly<Record<string, string>> },
  targetName: string,
): string => spec.dbsToMigrate.find((database) => targetDatabase(spec, database) === targetName) ?? targetName;
