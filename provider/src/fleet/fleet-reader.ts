import { withTimeout } from "../async/with-timeout.js";
import { Semaphore } from "../async/semaphore.js";
import { messageOf } from "../errors.js";
import type { Store } from "../store/store.js";
import { Records } from "./records.js";
import type { Target } from "./target.js";

/** What is known of one target. */
export interface TargetReading<Content> {
  readonly target: Target;
  /** The last content that was read; undefined if no read has succeeded. Not current if `failure` is set. */
  readonly content: Content | undefined;
  /** When the content was read, in milliseconds since 1970. */
  readonly readAt: number | undefined;
  /** Why the last attempt failed. */
  readonly failure: string | undefined;
}

/** How many targets are read at the same time. Each takes one connection of its target and a socket here. */
const targetsAtOnce = 16;
/** A target that does not answer in this time is reported as unreachable. */
const timeoutMs = 8000;
const firstRetryMs = 2000;
const maxRetryMs = 60_000;

/**
 * Reads the records of many targets, again and again. Targets are independent: one that does not answer is retried with
 * back-off, and its last content is returned meanwhile.
 */
export class FleetReader<Content> {
  #targets: readonly PolledTarget<Content>[] = [];

  /**
   * @param read gets undefined if no migration was ever recorded on the target
   * @param purpose shown in pg_stat_activity
   */
  constructor(
    targets: readonly Target[],
    readonly read: (store: Store | undefined) => Promise<Content>,
    readonly purpose: string,
  ) {
    this.setTargets(targets);
  }

  get isEmpty(): boolean {
    return this.#targets.length === 0;
  }

  /** Replaces the targets. What is known of those that stay is kept. */
  setTargets(targets: readonly Target[]): void {
    const former = new Map(this.#targets.map((one) => [JSON.stringify(one.target), one]));
    this.#targets = targets.map((target) => {
      const key = JSON.stringify(target);
      const kept = former.get(key);
      former.delete(key);
      return kept ?? new PolledTarget(target, this.read, new Records(target.address, this.purpose));
    });
    for (const { records } of former.values()) void records.close().catch(() => undefined);
  }

  /** Reads all targets once, except those that have to be retried later. Never rejects. */
  async poll(): Promise<TargetReading<Content>[]> {
    const slots = new Semaphore(() => targetsAtOnce);
    return Promise.all(this.#targets.map((target) => slots.run(() => target.poll())));
  }

  async close(): Promise<void> {
    await withTimeout(Promise.all(this.#targets.map(({ records }) => records.close())), 1000);
  }
}

class PolledTarget<Content> {
  #reading: TargetReading<Content>;
  #isPending = false;
  #retryMs = firstRetryMs;
  #nextAt = 0;

  constructor(
    readonly target: Target,
    readonly read: (store: Store | undefined) => Promise<Content>,
    readonly records: Records,
  ) {
    this.#reading = { target, content: undefined, readAt: undefined, failure: undefined };
  }

  async poll(): Promise<TargetReading<Content>> {
    // A read that timed out still occupies the session. Further reads would only wait behind it.
    if (this.#isPending || Date.now() < this.#nextAt) return this.#reading;
    const result = await withTimeout(this.#readOnce(), timeoutMs);
    if (result === undefined) this.#fail(`no answer within ${timeoutMs / 1000} s`);
    return this.#reading;
  }

  async #readOnce(): Promise<true> {
    this.#isPending = true;
    try {
      const found = await this.records.read<{ readonly content: Content } | undefined>(undefined, async (store) => ({
        content: await this.read(store),
      }));
      const { content } = found ?? { content: await this.read(undefined) };
      this.#reading = { ...this.#reading, content, readAt: Date.now(), failure: undefined };
      this.#retryMs = firstRetryMs;
    } catch (error) {
      this.#fail(messageOf(error));
    } finally {
      this.#isPending = false;
    }
    return true;
  }

  #fail(failure: string): void {
    this.#reading = { ...this.#reading, failure };
    this.#nextAt = Date.now() + this.#retryMs;
    this.#retryMs = Math.min(2 * this.#retryMs, maxRetryMs);
  }
}
