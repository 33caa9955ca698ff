import { setTimeout as sleep } from "node:timers/promises";

const firstPauseMs = 50;
const longestPauseMs = 300;

/**
 * Waits for a condition, and fails after the deadline with what it waited for. It checks less and less often, because most
 * conditions open a session, which takes CPU from what they wait for.
 */
export async function until(what: string, condition: () => Promise<boolean> | boolean, seconds = 180): Promise<void> {
  // Not Date.now, which some tests set.
  const begunAt = performance.now();
  while (!(await condition())) {
    const waitedMs = performance.now() - begunAt;
    if (waitedMs > seconds * 1000) throw new Error(`waited ${seconds} s in vain until ${what}`);
    await sleep(Math.min(Math.max(firstPauseMs, waitedMs / 10), longestPauseMs));
  }
}
