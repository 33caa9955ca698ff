import type { Client } from "pg";

/** The migrations that have left their progress in this database of the target. */
export async function listProgress(target: Client): Promise<string[]> {
  const { rows } = await target.query<{ there: boolean }>(
    "SELECT to_regclass('pgmigration.progress') IS NOT NULL AS there",
  );
  if (!rows[0]!.there) return [];
  const progress = await target.query<{ migration: string }>("SELECT migration FROM pgmigration.progress ORDER BY 1");
  return progress.rows.map(({ migration }) => migration);
}
