import type { BlockingSession } from "../postgres/blocking-sessions.js";
import { quoteLiteral } from "../postgres/identifiers.js";
import type { Finding } from "../store/journal.js";

/** Who holds a slot's creation up, since when, and how to end it. */
export function blockerFinding(session: BlockingSession): Finding & { readonly object: string } {
  const { pid, preparedAs, transactionAgeSeconds, user, applicationName, state } = session;
  const since =
    transactionAgeSeconds === undefined
      ? "some time"
      : new Date(Date.now() - transactionAgeSeconds * 1000).toISOString().replace(/\.\d+/, "");
  const common = { type: "ServerParametersValidation", state: "Warning", objectType: "Instance" } as const;
  if (pid === undefined)
    return {
      ...common,
      object: `prepared transaction ${preparedAs ?? ""}`,
      message: `the slot on the source waits for the prepared transaction ${preparedAs ?? ""} of ${user ?? "an unknown role"}, open since ${since}`,
      remedy: `COMMIT PREPARED ${quoteLiteral(preparedAs ?? "")}, or ROLLBACK PREPARED ${quoteLiteral(preparedAs ?? "")}`,
    };
  return {
    ...common,
    object: `session ${pid}`,
    message: `the slot on the source waits for session ${pid} of ${user ?? "an unknown role"} (${applicationName ?? "no application name"}, ${state ?? "state unknown"}), whose transaction is open since ${since}`,
    remedy: `have it end its transaction, or SELECT pg_terminate_backend(${pid})`,
  };
}
