import { Canceled } from "../../errors.js";
import type { OnlineVerification } from "../../status.js";
import type { FollowedDatabase } from "../streaming/followed-database.js";
import type { JobSlots } from "../../async/semaphore.js";
import type { RequestWatch } from "../context/watch-requests.js";

/** Makes a verification of one database each time that the wish asks for another one, until {@link end}. */
export class VerificationsOnRequest {
  /** Rejects with what a worker ends by; never resolves. */
  readonly failure: Promise<never>;
  readonly #abort = new AbortController();
  readonly #ended: Promise<void>;
  #fail: (error: unknown) => void = () => undefined;

  /** @param last the one that is recorded: made already, unless its worker died over it */
  constructor(
    requests: RequestWatch,
    database: FollowedDatabase,
    last: OnlineVerification | undefined,
    slots: JobSlots,
  ) {
    const made = last?.state === "running" ? undefined : last?.requestedBy;
    const { signal } = this.#abort;
    const isOver = new Promise<undefined>((resolve) => {
      signal.addEventListener("abort", () => resolve(undefined), { once: true });
    });
    const serve = async (): Promise<void> => {
      for (let done = made; !signal.aborted;) {
        const wanted = await Promise.race([requests.verificationBeside(done), isOver]);
        if (wanted === undefined) return;
        await slots.run(() => database.verify(wanted, signal), signal);
        done = wanted;
      }
    };
    this.failure = new Promise((_resolve, reject) => (this.#fail = reject));
    // For those who race it; one who does not must not lose the process by it.
    this.failure.catch(() => undefined);
    this.#ended = serve().catch((error: unknown) => {
      // Given up in the queue, or over a comparison.
      if (!signal.aborted) this.#fail(error);
    });
  }

  /** Gives up what is under way; resolves when its sessions have ended. */
  async end(): Promise<void> {
    this.#abort.abort(new Canceled("the verification was given up"));
    await this.#ended;
  }
}
