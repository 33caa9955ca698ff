import { setTimeout as sleep } from "node:timers/promises";

const firstPauseMs = 50;
const longestPauseMs = 500;

/**
 * Waits for a condition, and fails at the deadline with a message that names the condition. The pauses between checks grow,
 * because most conditions open a session, which takes CPU from the tested code.
 *
 * @example await until("the row is applied", async () => (await lab.queryTarget(database, "SELECT FROM t")).length === 1)
 */
export async function until(what: string, condition: () => Promise<boolean> | boolean, seconds = 180): Promise<void> {
  const startedAt = performance.now();
  while (!(await condition())) {
    const waitedMs = performance.now() - startedAt;
    if (waitedMs > seconds * 1000) throw new Error(`timeout after ${seconds} s: waited until ${what}`);
    await sleep(Math.min(Math.max(firstPauseMs, waitedMs / 10), longestPauseMs));
  }
}
