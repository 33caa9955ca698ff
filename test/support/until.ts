import { setTimeout as sleep } from "node:timers/promises";

/** Waits for a condition; fails after the deadline, saying what was waited for. */
export async function until(what: string, condition: () => Promise<boolean> | boolean, seconds = 180): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain until ${what}`);
    await sleep(50);
  }
}
