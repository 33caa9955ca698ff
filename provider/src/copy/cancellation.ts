import { CanceledError } from "../errors.js";

/** The error for work that was stopped by its signal: the signal's own reason, or CanceledError. */
export function cancellation(what: string, signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  // An abort without a reason, and AbortSignal.timeout, have a DOMException as reason.
  if (reason instanceof Error && !(reason instanceof DOMException)) return reason;
  return new CanceledError(`${what} was canceled`, { cause: reason });
}
