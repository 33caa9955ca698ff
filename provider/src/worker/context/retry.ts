import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { delay } from "../../async/delay.js";
import type { Work } from "./work.js";

const firstRetryMs = 200;
const maxRetryMs = 5000;
/** A shorter run may have spent all its time waiting for unreachable servers. */
const minGoodRunMs = 60_000;

export interface RetryPolicy {
  /** Maximum duration of an outage. */
  readonly seconds: number;
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
  /** Which errors are retried. Default: every connection loss. */
  readonly isRetryable?: (error: unknown) => boolean;
  readonly onLost?: (reason: string, retryInMs: number) => Promise<void>;
  /** Throws the error of a long run instead of retrying it. For runs that would restart from the beginning. */
  readonly failsAfterGoodRun?: boolean;
}

/**
 * Runs an idempotent function, and retries it with backoff after a lost connection or while a server is unreachable. Stops
 * `seconds` after the first loss. A run that lasted at least that long (and a minute) starts a new period.
 *
 * @throws UnreachableError when the retries are exhausted; otherwise the error of the last run
 * @example const databases = await retry({ seconds: 300, signal }, () => readDatabases(store, "crm"));
 */
export async function retry<T>(policy: RetryPolicy, run: () => Promise<T>): Promise<T> {
  const { seconds, signal, onLost, isRetryable = isConnectionLoss, failsAfterGoodRun = false } = policy;
  const goodRunMs = Math.max(seconds * 1000, minGoodRunMs);
  let deadline: number | undefined;
  for (let retryMs = firstRetryMs; ; retryMs = Math.min(2 * retryMs, maxRetryMs)) {
    signal?.throwIfAborted();
    const startedAt = Date.now();
    try {
      return await run();
    } catch (error) {
      if (signal?.aborted || !isRetryable(error)) throw error;
      const hasRunWell = Date.now() - startedAt >= goodRunMs;
      if (hasRunWell && failsAfterGoodRun) throw error;
      if (deadline === undefined || hasRunWell) {
        deadline = Date.now() + seconds * 1000;
        retryMs = firstRetryMs;
      }
      if (Date.now() + retryMs > deadline) throw retriesExhausted(error, seconds);
      await onLost?.(messageOf(error), retryMs);
    }
    await delay(retryMs, signal);
  }
}

/** Adds a remedy to errors of the server or the socket. Our own errors have one. */
const retriesExhausted = (error: unknown, seconds: number): unknown =>
  error instanceof UnreachableError || error instanceof RefusedError || !isConnectionLoss(error)
    ? error
    : new UnreachableError(
        `the connection was lost and could not be re-established within ${seconds} s: ${messageOf(error)}`,
        {
          remedy:
            "read in the server logs of source and target why they close sessions; pulumi up resumes the migration",
          cause: error,
        },
      );

/**
 * Retries a step of one database, for at most `reconnectFor` seconds. Logs every connection loss.
 *
 * @param canSucceed called after a loss: whether another attempt can succeed
 */
export function retryDatabaseStep<Result>(
  { spec, journal, signal }: Work,
  database: string,
  run: () => Promise<Result>,
  canSucceed = (): boolean => true,
): Promise<Result> {
  const onLost = (reason: string, retryInMs: number): Promise<void> =>
    journal.event(`the connection was lost (${reason}); retrying in ${retryInMs / 1000} s`, {
      ...{ database, level: "warning" },
    });
  const isRetryable = (error: unknown): boolean => canSucceed() && isConnectionLoss(error);
  return retry({ seconds: spec.reconnectFor, signal, isRetryable, onLost }, run);
}
