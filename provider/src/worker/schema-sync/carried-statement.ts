import pg, { type Client } from "pg";
import { isLockTimeout } from "../../postgres/locks/lock-waits.js";
import type { StreamRecord } from "../followers/stream-record.js";

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
