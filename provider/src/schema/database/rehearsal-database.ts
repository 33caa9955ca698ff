import { createHash } from "node:crypto";

/**
 * The temporary database in which the restore of a migration's database is rehearsed. The name is always the same, so that
 * the next validation, or the end of the migration, drops what a killed worker left.
 */
export function rehearsalDatabase(migrationName: string, database: string): string {
  const hash = createHash("sha256")
    .update(JSON.stringify([migrationName, database]))
    .digest("hex");
  return `pg_migration_rehearsal_${hash.slice(0, 16)}`;
}
