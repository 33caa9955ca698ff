/** What a database of the source is called on the target. */
export function targetDatabase(
  { databaseNames }: { readonly databaseNames: Readonly<Record<string, string>> },
  database: string,
): string {
  // A database may well be called "constructor".
  return Object.hasOwn(databaseNames, database) ? databaseNames[database]! : database;
}
