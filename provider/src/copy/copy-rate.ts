/** Time in milliseconds, and one timer. Tests replace it. */
export interface Clock {
  readonly now: () => number;
  readonly after: (ms: number, run: () => void) => void;
}

const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, run) => void setTimeout(run, ms),
};

/** A copy that was idle may read as many bytes at once as the limit allows in this time. */
const burstSeconds = 0.1;
/** A changed limit applies to waiting copies within this time. */
const maxWaitMs = 500;

/**
 * Limits the bytes per second that all copies of this process read from the source, for example to 50 MB.
 *
 * A copy reports each chunk that it has read, and pauses until the limit allows as many bytes. Copies continue in the order of
 * their chunks, so that none is preferred. In any period at most `limit * seconds` bytes are read, plus those of 0.1 s and one
 * chunk of each copy. Nothing is buffered.
 */
export class CopyRate {
  /** Number of processes that copy tables of the migration. They share the limit equally. */
  processes = 1;
  /** Limit of this process, in addition to the shared one; undefined for none. */
  ofProcess: number | undefined;
  readonly #limit: () => number | undefined;
  readonly #clock: Clock;
  /** Paused copies, by the number of bytes that must be allowed before each continues. */
  readonly #paused: { readonly from: number; readonly resume: () => void }[] = [];
  /** Bytes read and bytes allowed so far, and when the latter was calculated. */
  #read = 0;
  #allowed = 0;
  #allowedAt: number;
  #hasTimer = false;

  /** @param limit bytes per second of the whole migration; undefined for no limit. It may change at any time. */
  constructor(limit: () => number | undefined, clock: Clock = systemClock) {
    this.#limit = limit;
    this.#clock = clock;
    this.#allowedAt = clock.now();
  }

  /**
   * Counts bytes that a copy has read.
   *
   * @returns whether the copy has to pause until `resume` is called
   */
  count(bytes: number, resume: () => void): boolean {
    const rate = this.#rate;
    if (rate === undefined) return false;
    this.#allow(rate);
    this.#read += bytes;
    if (this.#read <= this.#allowed) return false;
    this.#paused.push({ from: this.#read, resume });
    this.#startTimer(rate);
    return true;
  }

  /** Counts bytes, and resolves when the copy may continue, or at once when the signal aborts. */
  async pace(bytes: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve } = deferred();
    if (!this.count(bytes, resolve)) return;
    signal?.addEventListener("abort", resolve, { once: true });
    if (!signal?.aborted) await promise;
    signal?.removeEventListener("abort", resolve);
  }

  /** Bytes read so far while there was a limit. */
  get bytesRead(): number {
    return this.#read;
  }

  get #rate(): number | undefined {
    const limit = this.#limit();
    if (limit === undefined) return this.ofProcess;
    return Math.min(limit / this.processes, this.ofProcess ?? Infinity);
  }

  #allow(rate: number): void {
    const now = this.#clock.now();
    const since = (rate * (now - this.#allowedAt)) / 1000;
    this.#allowed = Math.min(this.#allowed + since, this.#read + rate * burstSeconds);
    this.#allowedAt = now;
  }

  #startTimer(rate: number): void {
    const first = this.#paused[0];
    if (this.#hasTimer || !first) return;
    this.#hasTimer = true;
    const ms = Math.ceil(((first.from - this.#allowed) * 1000) / rate);
    this.#clock.after(Math.min(Math.max(ms, 1), maxWaitMs), () => this.#continue());
  }

  #continue(): void {
    this.#hasTimer = false;
    const rate = this.#rate;
    if (rate === undefined) this.#allowed = this.#read;
    else this.#allow(rate);
    while (this.#paused[0] && this.#paused[0].from <= this.#allowed) this.#paused.shift()!.resume();
    if (rate !== undefined) this.#startTimer(rate);
  }
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((fulfil) => (resolve = fulfil));
  return { promise, resolve };
}
