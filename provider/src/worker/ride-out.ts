import { Refused, Unreachable, messageOf } from "../errors.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { pause } from "../async/delay.js";
import type { Work } from "./work.js";

const firstRetryMs = 200;
const longestRetryMs = 5000;
/** What has run for less may have waited for servers that do not answer, one after the other. */
const leastGoodRunMs = 60_000;

export interface Patience {
  /** How long a server may be away. */
  readonly seconds: number;
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
  /** What may be tried again; any loss of a connection by default. */
  readonly mayPass?: (error: unknown) => boolean;
  readonly onLost?: (reason: string, retryInMs: number) => Promise<void>;
  /** What has run well is not run again: it would begin from the start, and its caller counts how often. */
  readonly endsAfterGoodRun?: boolean;
}

/**
 * Runs what a lost connection, or a server that is not there, has ended once more, with backoff, for as long as the patience
 * lasts since it was lost first; what has run well for as long as that has been lost anew. What is run must be one that may
 * run twice.
 *
 * @throws Unreachable where the patience is over; else what it has ended by
 */
export async function rideOut<T>(patience: Patience, run: () => Promise<T>): Promise<T> {
  const { seconds, signal, onLost, mayPass = isConnectionLoss, endsAfterGoodRun = false } = patience;
  const goodRunMs = Math.max(seconds * 1000, leastGoodRunMs);
  let deadline: number | undefined;
  for (let retryMs = firstRetryMs; ; retryMs = Math.min(2 * retryMs, longestRetryMs)) {
    signal?.throwIfAborted();
    const startedAt = Date.now();
    try {
      return await run();
    } catch (error) {
      if (signal?.aborted || !mayPass(error)) throw error;
      const hasRunWell = Date.now() - startedAt >= goodRunMs;
      if (hasRunWell && endsAfterGoodRun) throw error;
      if (deadline === undefined || hasRunWell) {
        deadline = Date.now() + seconds * 1000;
        retryMs = firstRetryMs;
      }
      if (Date.now() + retryMs > deadline) throw givenUp(error, seconds);
      await onLost?.(messageOf(error), retryMs);
    }
    await pause(retryMs, signal);
  }
}

/** What the server or the socket says is bare; ours say what to do. */
const givenUp = (error: unknown, seconds: number): unknown =>
  error instanceof Unreachable || error instanceof Refused || !isConnectionLoss(error)
    ? error
    : new Unreachable(
        `a connection was lost, and no other try within ${seconds} s has come further: ${messageOf(error)}`,
        {
          remedy:
            "see in the logs of source and target why they end sessions; pulumi up goes on where this has stopped",
          cause: error,
        },
      );

/**
 * A step with one database, as {@link rideOut}, for as long as the wish says; each loss is told.
 *
 * @param isOfUse asked after a loss: whether another try could come to anything
 */
export function riddenOut(
  { wish, journal, signal }: Work,
  database: string,
  run: () => Promise<void>,
  isOfUse = (): boolean => true,
): Promise<void> {
  const onLost = (reason: string, retryInMs: number): Promise<void> =>
    journal.event(`the connection was lost (${reason}); trying again in ${retryInMs / 1000} s`, {
      ...{ database, level: "warning" },
    });
  const mayPass = (error: unknown): boolean => isOfUse() && isConnectionLoss(error);
  return rideOut({ seconds: wish.reconnectFor, signal, mayPass, onLost }, run);
}
