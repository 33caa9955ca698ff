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
  /** Since when every attempt has failed, in milliseconds since 1970; undefined if the last one succeeded. */
  readonly failingSince: number | undefined;
}

/** How many targets are read at the same time. Each takes one connection of its target and a socket here. */
const targetsAtOnce = 16;
/** A target that takes longer no longer delays the others. It still has the time of {@link timeoutMs}. */
const placeMs = 1000;
/** However many views poll the same reader, a target is not read more often. */
const minIntervalMs = 1500;
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
  readonly #places = new Semaphore(() => targetsAtOnce);

  /**
   * @param read gets no store if no migration was ever recorded on the target
   * @param purpose shown in pg_stat_activity
   */
  constructor(
    targets: readonly Target[],
    readonly read: (store: Store | undefined, target: Target) => Promise<Content>,
    readonly purpose: string,
  ) {
    this.setTargets(targets);
  }

  get isEmpty(): boolean {
    return this.#targets.length === 0;
  }

  /** What is known now, without reading. */
  get readings(): readonly TargetReading<Content>[] {
    return this.#targets.map(({ reading }) => reading);
  }

  /** The session of a target, for other reads; undefined if the list has no target of this name. */
  recordsOf(name: string): Records | undefined {
    return this.#targets.find(({ target }) => target.name === name)?.records;
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

  /** Reads all targets once, except those that are being read or have to be read later. Never rejects. */
  async poll(): Promise<readonly TargetReading<Content>[]> {
    await Promise.all(this.#targets.map((target) => target.poll(this.#places)));
    return this.readings;
  }

  async close(): Promise<void> {
    await withTimeout(Promise.all(this.#targets.map(({ records }) => records.close())), 1000);
  }
}

class PolledTarget<Content> {
  reading: TargetReading<Content>;
  #isPending = false;
  #retryMs = firstRetryMs;
  #nextAt = 0;

  constructor(
    readonly target: Target,
    readonly read: (store: Store | undefined, target: Target) => Promise<Content>,
    readonly records: Records,
  ) {
    this.reading = { target, content: undefined, readAt: undefined, failure: undefined, failingSince: undefined };
  }

  async poll(places: Semaphore): Promise<void> {
    // A read that timed out still occupies the session. Further reads would only wait behind it.
    if (this.#isPending || Date.now() < this.#nextAt) return;
    this.#isPending = true;
    let answered: Promise<void> | undefined;
    await places.run(async () => {
      const read = this.#readOnce();
      answered = this.#limit(read);
      await withTimeout(read, placeMs);
    });
    await answered;
  }

  async #limit(read: Promise<true>): Promise<void> {
    if ((await withTimeout(read, timeoutMs)) === undefined) this.#fail(`no answer within ${timeoutMs / 1000} s`);
  }

  async #readOnce(): Promise<true> {
    try {
      const found = await this.records.read<{ readonly content: Content } | undefined>(undefined, async (store) => ({
        content: await this.read(store, this.target),
      }));
      const { content } = found ?? { content: await this.read(undefined, this.target) };
      this.reading = { ...this.reading, content, readAt: Date.now(), failure: undefined, failingSince: undefined };
      this.#retryMs = firstRetryMs;
      this.#nextAt = Date.now() + minIntervalMs;
    } catch (error) {
      this.#fail(messageOf(error));
    } finally {
      this.#isPending = false;
    }
    return true;
  }

  #fail(failure: string): void {
    this.reading = { ...this.reading, failure, failingSince: this.reading.failingSince ?? Date.now() };
    this.#nextAt = Date.now() + this.#retryMs;
    this.#retryMs = Math.min(2 * this.#retryMs, maxRetryMs);
  }
}
