import { CanceledError } from "../errors.js";

/** The error that ends work whose signal has aborted: the one it was aborted with, or that it was canceled. */
export function cancellation(what: string, signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  // An abort without a reason, and AbortSignal.timeout, give a DOMException.
  if (reason instanceof Error && !(reason instanceof DOMException)) return reason;
  return new CanceledError(`${what} was canceled`, { cause: reason });
}
