import type { Client } from "pg";

/** The migrations with a progress row in this database of the target. */
export async function listProgress(target: Client): Promise<string[]> {
  const { rows } = await target.query<{ exists: boolean }>(
    "SELECT to_regclass('pgmigration.progress') IS NOT NULL AS exists",
  );
  if (!rows[0]!.exists) return [];
  const progress = await target.query<{ migration: string }>("SELECT migration FROM pgmigration.progress ORDER BY 1");
  return progress.rows.map(({ migration }) => migration);
}
