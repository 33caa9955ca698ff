import type { BlockingSession } from "../../postgres/locks/blocking-sessions.js";
import { quoteLiteral } from "../../postgres/identifiers.js";
import type { StreamRoles } from "../../cdc/model/stream-roles.js";
import type { SlotOptions } from "../../cdc/source/slot.js";
import type { Finding } from "../../findings.js";
import { ChangeReporter } from "../../log.js";
import type { Work } from "../context/work.js";

/** Names the session that delays the creation of a slot, how old its transaction is, and how to end it. */
function blockerFinding(
  session: BlockingSession,
  side: StreamRoles["publisher"],
): Finding & { readonly object: string } {
  const { pid, preparedAs, transactionAgeSeconds, user, applicationName, state } = session;
  const since =
    transactionAgeSeconds === undefined
      ? "an unknown time"
      : new Date(Date.now() - transactionAgeSeconds * 1000).toISOString().replace(/\.\d+/, "");
  const common = {
    type: "ServerParametersValidation",
    state: "Warning",
    code: "PGM-202",
    objectType: "Instance",
  } as const;
  if (pid === undefined)
    return {
      ...common,
      object: `prepared transaction ${preparedAs ?? ""}`,
      message: `the slot on the ${side} waits for the prepared transaction ${preparedAs ?? ""} of ${user ?? "an unknown role"}, open since ${since}`,
      remedy: `COMMIT PREPARED ${quoteLiteral(preparedAs ?? "")}, or ROLLBACK PREPARED ${quoteLiteral(preparedAs ?? "")}`,
    };
  return {
    ...common,
    object: `session ${pid}`,
    message: `the slot on the ${side} waits for session ${pid} of ${user ?? "an unknown role"} (${applicationName ?? "no application name"}, ${state ?? "state unknown"}), whose transaction is open since ${since}`,
    remedy: `end its transaction in the application, or SELECT pg_terminate_backend(${pid})`,
  };
}

/**
 * Reports the sessions that a slot, or the LSN of a cutover, waits for, and how to end each. Reports again when the sessions
 * change.
 */
export function blockerReporter(
  { journal }: Work,
  database: string,
  side: StreamRoles["publisher"],
): NonNullable<SlotOptions["onWaiting"]> {
  const blockers = new ChangeReporter();
  return (sessions) => {
    if (!blockers.isNew(sessions.map((one) => one.pid ?? one.preparedAs ?? "").join())) return;
    const findings = sessions.map((session) => ({ database, ...blockerFinding(session, side) }));
    const named = findings.map(
      ({ object }, index) => `${object} (${sessions[index]!.applicationName ?? "no application name"})`,
    );
    const message = `waiting for older transactions on the ${side}: ${named.join(", ")}`;
    const record = async (): Promise<void> => {
      await journal.database(database, { message });
      await journal.findings(findings);
    };
    void record().catch(() => undefined);
  };
}
