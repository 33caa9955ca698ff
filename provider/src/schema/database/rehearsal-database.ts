import { createHash } from "node:crypto";

/**
 * Name of the temporary database for rehearsing the restore of a migration's database. The name is constant, so that
 * the next validation, or the end of the migration, drops the database of a killed worker.
 */
export function rehearsalDatabase(migrationName: string, database: string): string {
  const hash = createHash("sha256")
    .update(JSON.stringify([migrationName, database]))
    .digest("hex");
  return `pg_migration_rehearsal_${hash.slice(0, 16)}`;
}
