/** The target's name of a database on the source. */
export function targetDatabase(
  { databaseNames }: { readonly databaseNames: Readonly<Record<string, string>> },
  database: string,
): string {
  // A database may be named "constructor".
  return Object.hasOwn(databaseNames, database) ? databaseNames[database]! : database;
}
