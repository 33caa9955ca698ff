import type { Client } from "pg";
import { RefusedError } from "../../errors.js";
import { hasProgressTable } from "./progress.js";

/**
 * The migrations with a progress row in this database of the target. A table of another role is omitted, because it could be
 * a view that runs code of that role.
 */
export async function listProgress(target: Client): Promise<string[]> {
  if (!(await hasTrustedTable(target))) return [];
  const progress = await target.query<{ migration: string }>("SELECT migration FROM pgmigration.progress ORDER BY 1");
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
