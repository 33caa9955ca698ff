import { setTimeout as sleep } from "node:timers/promises";

const firstPauseMs = 50;
const longestPauseMs = 300;

/**
 * Waits for a condition; fails after the deadline, saying what was waited for. What takes long is looked at less often,
 * since most conditions open a session to look, and take CPU from what they wait for.
 */
export async function until(what: string, condition: () => Promise<boolean> | boolean, seconds = 180): Promise<void> {
  const begunAt = Date.now();
  while (!(await condition())) {
    const waitedMs = Date.now() - begunAt;
    if (waitedMs > seconds * 1000) throw new Error(`waited ${seconds} s in vain until ${what}`);
    await sleep(Math.min(Math.max(firstPauseMs, waitedMs / 10), longestPauseMs));
  }
}
