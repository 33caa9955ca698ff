import { delay } from "./delay.js";

interface PollOptions {
  readonly everyMs: number;
  readonly signal: AbortSignal;
  /** Ends the wait when it rejects. */
  readonly failure: Promise<never>;
}

/**
 * Waits until the condition holds, possibly for days.
 *
 * @throws the reason of the signal, or of the failure
 */
export async function pollUntil(
  holds: () => boolean | Promise<boolean>,
  { everyMs, signal, failure }: PollOptions,
): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const poll = async (): Promise<void> => {
    while (!(await holds())) {
      await delay(everyMs, either);
      either.throwIfAborted();
    }
  };
  try {
    // One race for the whole wait: a promise that does not settle keeps memory for every race.
    await Promise.race([poll(), failure]);
  } finally {
    over.abort();
  }
}
