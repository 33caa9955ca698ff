import { setTimeout as sleep } from "node:timers/promises";

/** Waits, until the signal aborts at the latest. */
export const pause = (milliseconds: number, signal?: AbortSignal): Promise<void> =>
  sleep(milliseconds, undefined, { signal }).catch(() => undefined);
