/** The target's name of a database on the source. */
export function targetDatabase(
  { databaseNames }: { readonly databaseNames: Readonly<Record<string, string>> },
  database: string,
): string {
  // A database may be named "constructor".
  return Object.hasOwn(databaseNames, database) ? databaseNames[database]! : database;
}

/** The source's name of a database on the target, by which findings and status name it. */
export const sourceDatabase = (
  spec: { readonly dbsToMigrate: readonly string[]; readonly databaseNames: Readonly<Record<string, string>> },
  targetName: string,
): string => spec.dbsToMigrate.find((database) => targetDatabase(spec, database) === targetName) ?? targetName;
