import type { Client } from "pg";
import { RefusedError } from "../../errors.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { canForceDrop } from "./database.js";
import { applicationSessions, describeSessions } from "../../postgres/writes/writing-sessions.js";

/** The target's names of the databases that the migration drops before its copy, if they exist. */
export const replacedDatabases = (
  spec: Pick<MigrationSpec, "overwriteDbsInTarget" | "dataOnly" | "migrationOption" | "dbsToMigrate" | "databaseNames">,
): readonly string[] =>
  spec.overwriteDbsInTarget && !spec.dataOnly && spec.migrationOption !== "Validate"
    ? spec.dbsToMigrate.map((database) => targetDatabase(spec, database))
    : [];

/** What the user has to do before a database that applications use is replaced. */
export interface UsedDatabase {
  readonly database: string;
  readonly message: string;
  readonly remedy: string;
}

/**
 * The databases of the target that applications use. After a cutover, `overwriteDbsInTarget` may still be in the program: it must
 * not drop the new primary.
 *
 * @param target a session in any database
 */
export async function usedDatabases(target: Client, databases: readonly string[]): Promise<UsedDatabase[]> {
  const sessions = await applicationSessions(target, databases);
  const canForce = await canForceDrop(target);
  return databases.flatMap((database) => {
    const own = sessions.filter((session) => session.database === database);
    if (own.length === 0) return [];
    const message = `applications use ${database} on the target, so it is not replaced: ${describeSessions(own).join(", ")}`;
    const drop = `, or drop it on the target: DROP DATABASE ${quoteIdentifier(database)} WITH (FORCE)`;
    return [{ database, message, remedy: `end these sessions${canForce ? drop : ""}` }];
  });
}

/** @throws RefusedError with what {@link usedDatabases} finds */
export async function refuseUsedDatabases(target: Client, databases: readonly string[]): Promise<void> {
  const used = await usedDatabases(target, databases);
  if (used.length === 0) return;
  throw new RefusedError(used.map(({ message }) => message).join("\n"), {
    code: "PGM-312",
    remedy: used.map(({ remedy }) => remedy).join("\n"),
  });
}
