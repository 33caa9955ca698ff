import { Refused, Unreachable } from "../errors.js";
import { isStarting } from "../postgres/connection/connection-loss.js";
import type { Finding } from "../store/journal.js";

/**
 * A session that could not be opened, as a finding; its message is the error's first line, since the remedy has a field
 * of its own.
 *
 * @throws what was given, where it is no answer of a server or of the network
 */
export function connectionFinding(
  error: unknown,
  prefix: string,
  finding: Omit<Finding, "message" | "state">,
): Finding {
  // One that is being restarted is nothing to put right.
  if (!(error instanceof Refused || error instanceof Unreachable) || isStarting(error)) throw error;
  const [what] = error.message.split("\n");
  const message = `${prefix}: ${what!.replace(/^\d{6}: /, "")}`;
  return { ...finding, state: "Failed", code: error.code, message, remedy: error.remedy };
}
