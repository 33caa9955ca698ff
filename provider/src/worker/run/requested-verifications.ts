import { CanceledError } from "../../errors.js";
import { answeredRequest, type OnlineVerification } from "../../status.js";
import { beforeCutover, type FollowedDatabase } from "../streaming/followed-database.js";
import { delay } from "../../async/delay.js";
import type { Semaphore } from "../../async/semaphore.js";
import type { RequestWatch } from "../context/watch-requests.js";

const pollMs = 500;

interface VerificationsOfDatabase {
  readonly requests: RequestWatch;
  readonly database: FollowedDatabase;
  /** The recorded verification. It runs again if its worker died during it. */
  readonly last: OnlineVerification | undefined;
  /** Limits the verifications of all databases. */
  readonly slots: Semaphore;
  /** Whether a cutover that waits for its window needs a comparison now. */
  readonly isDueBeforeCutover: () => boolean;
}

/** Runs the verifications of one database: each that the spec requests, and those before a cutover window. */
export class RequestedVerifications {
  /** Rejects with an error that ends the worker; never resolves. */
  readonly failure: Promise<never>;
  readonly #running = new AbortController();
  readonly #waiting = new AbortController();
  readonly #ended: Promise<void>;
  #fail: (error: unknown) => void = () => undefined;

  constructor(readonly options: VerificationsOfDatabase) {
    this.failure = new Promise((_resolve, reject) => (this.#fail = reject));
    // Prevents an unhandled rejection while no caller awaits it.
    this.failure.catch(() => undefined);
    this.#ended = this.#serve().catch((error: unknown) => {
      // Neither a canceled verification nor one that left the queue is a failure.
      if (!this.#running.signal.aborted && error !== this.#waiting.signal.reason) this.#fail(error);
    });
  }

  /** Starts no other verification; resolves when the present one has ended. */
  async finish(): Promise<void> {
    this.#waiting.abort();
    await this.#ended;
  }

  /** Cancels a running verification; resolves when its sessions are closed. */
  async close(): Promise<void> {
    this.#running.abort(new CanceledError("the verification was canceled"));
    await this.finish();
  }

  async #serve(): Promise<void> {
    const { database, last, slots } = this.options;
    let done = last && last.state !== "running" ? answeredRequest(last) : undefined;
    for (;;) {
      const wanted = await this.#next(done);
      if (wanted === undefined) return;
      const result = await slots.run(() => database.verify(wanted, this.#running.signal), this.#waiting.signal);
      done = result ? answeredRequest(result) : wanted;
    }
  }

  /** What requests the next verification. Undefined when no other one may start. */
  async #next(done: string | undefined): Promise<string | undefined> {
    const { requests, isDueBeforeCutover } = this.options;
    const { signal } = this.#waiting;
    while (!signal.aborted) {
      const { verifyNow } = requests.spec;
      if (verifyNow !== undefined && verifyNow !== done) return verifyNow;
      if (isDueBeforeCutover()) return beforeCutover;
      await delay(pollMs, signal);
    }
    return undefined;
  }
}
