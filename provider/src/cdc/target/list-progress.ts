import type { Client } from "pg";
import { RefusedError } from "../../errors.js";
import { hasProgressTable } from "./progress.js";

/**
 * The migrations that have not handed over this database of the target: they created it, or apply changes to it. A table of
 * another role is omitted, because it could be a view that runs code of that role.
 */
export async function listProgress(target: Client): Promise<string[]> {
  if (!(await hasTrustedTable(target))) return [];
  const { rows } = await target.query<{ marked: boolean }>(
    "SELECT to_regclass('pgmigration.unfinished') IS NOT NULL AS marked",
  );
  // An earlier version did not create it.
  const marks = rows[0]!.marked ? "UNION SELECT migration FROM pgmigration.unfinished" : "";
  const progress = await target.query<{ migration: string }>(
    `SELECT migration FROM pgmigration.progress ${marks} ORDER BY 1`,
  );
  return progress.rows.map(({ migration }) => migration);
}

async function hasTrustedTable(target: Client): Promise<boolean> {
  try {
    return await hasProgressTable(target);
  } catch (error) {
    if (error instanceof RefusedError) return false;
    throw error;
  }
}
