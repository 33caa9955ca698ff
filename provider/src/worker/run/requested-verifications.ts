import { CanceledError } from "../../errors.js";
import type { OnlineVerification } from "../../status.js";
import type { FollowedDatabase } from "../streaming/followed-database.js";
import type { Semaphore } from "../../async/semaphore.js";
import type { RequestWatch } from "../context/watch-requests.js";

/** Runs a verification of one database each time the spec requests a new one, until {@link close}. */
export class RequestedVerifications {
  /** Rejects with an error that ends the worker; never resolves. */
  readonly failure: Promise<never>;
  readonly #abort = new AbortController();
  readonly #ended: Promise<void>;
  #fail: (error: unknown) => void = () => undefined;

  /** @param last the recorded verification; it runs again if its worker died during it */
  constructor(
    requests: RequestWatch,
    database: FollowedDatabase,
    last: OnlineVerification | undefined,
    slots: Semaphore,
  ) {
    const completed = last?.state === "running" ? undefined : last?.requestedBy;
    const { signal } = this.#abort;
    const isOver = new Promise<undefined>((resolve) => {
      signal.addEventListener("abort", () => resolve(undefined), { once: true });
    });
    const serve = async (): Promise<void> => {
      for (let done = completed; !signal.aborted;) {
        const wanted = await Promise.race([requests.verificationBeside(done), isOver]);
        if (wanted === undefined) return;
        await slots.run(() => database.verify(wanted, signal), signal);
        done = wanted;
      }
    };
    this.failure = new Promise((_resolve, reject) => (this.#fail = reject));
    // Prevents an unhandled rejection while no caller awaits it.
    this.failure.catch(() => undefined);
    this.#ended = serve().catch((error: unknown) => {
      // A canceled verification is not a failure.
      if (!signal.aborted) this.#fail(error);
    });
  }

  /** Cancels a running verification; resolves when its sessions are closed. */
  async close(): Promise<void> {
    this.#abort.abort(new CanceledError("the verification was canceled"));
    await this.#ended;
  }
}
