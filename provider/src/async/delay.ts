import { setTimeout as sleep } from "node:timers/promises";

/** Waits for `milliseconds`, or until the signal aborts. Never rejects. */
export const delay = (milliseconds: number, signal?: AbortSignal): Promise<void> =>
  sleep(milliseconds, undefined, { signal }).catch(() => undefined);
