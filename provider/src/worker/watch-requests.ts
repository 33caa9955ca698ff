import { Canceled, messageOf } from "../errors.js";
import type { Lease } from "../store/lease.js";
import { openRequests } from "../store/requests.js";

export interface RequestWatch {
  /** Aborts on `stop`, `cancel`, and when the lease is lost. */
  readonly signal: AbortSignal;
  /** Settles when the cutover is asked for. */
  readonly cutover: Promise<void>;
  readonly canceled: boolean;
  close(): void;
}

const pollMs = 400;

/** Looks for requests until it is closed. */
export function watchRequests(lease: Lease): RequestWatch {
  const abort = new AbortController();
  const watch = { canceled: false, closed: false };
  let cutOver: () => void = () => undefined;
  const cutover = new Promise<void>((resolve) => {
    cutOver = resolve;
  });
  const look = async (): Promise<void> => {
    const requests = await openRequests(lease);
    if (requests.has("stop")) abort.abort(new Canceled("the worker was asked to stop"));
    if (requests.has("cancel")) {
      watch.canceled = true;
      abort.abort(new Canceled("the migration was canceled"));
    }
    if (requests.has("cutover")) cutOver();
  };
  const poll = async (): Promise<void> => {
    while (!watch.closed && !abort.signal.aborted) {
      await look();
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  };
  poll().catch((error: unknown) => {
    process.stderr.write(`the watch for requests ends: ${messageOf(error)}\n`);
    abort.abort(error);
  });
  return {
    signal: abort.signal,
    cutover,
    get canceled() {
      return watch.canceled;
    },
    close() {
      watch.closed = true;
    },
  };
}
