import pg, { type Client } from "pg";
import { isLockTimeout } from "../../postgres/locks/lock-waits.js";
import type { Followers } from "../followers/followers.js";
import type { StreamRecord } from "../followers/stream-record.js";
import type { NewObjects } from "./new-objects.js";
import { refuseTakenObjects } from "./taken-names.js";

/**
 * Runs a statement that the worker may do without, and reports the result.
 *
 * @returns whether the target accepted it
 */
export async function runCarried(record: StreamRecord, target: Client, sql: string): Promise<boolean> {
  try {
    await target.query(sql);
    await record.reportCarriedStatement(sql);
    return true;
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || isLockTimeout(error)) throw error;
    await record.reportFailedStatement(sql, error.message);
    return false;
  }
}

/** Runs statements that later changes need, and reports them. */
export async function runAdditions(
  record: StreamRecord,
  followers: Followers,
  objects: NewObjects,
  statements: readonly string[],
): Promise<void> {
  if (statements.length === 0) return;
  await refuseTakenObjects(objects);
  for (const sql of statements) {
    await objects.target.query(sql);
    await record.reportCarriedStatement(sql);
  }
  followers.noteAlteration();
}
