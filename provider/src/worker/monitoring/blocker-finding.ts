import type { BlockingSession } from "../../postgres/locks/blocking-sessions.js";
import { quoteLiteral } from "../../postgres/identifiers.js";
import type { StreamRoles } from "../../cdc/model/stream-roles.js";
import type { SlotOptions } from "../../cdc/source/slot.js";
import type { Finding } from "../../findings.js";
import type { Work } from "../context/work.js";

/** Who holds a slot's creation up, since when, and how to end it. */
function blockerFinding(
  session: BlockingSession,
  side: StreamRoles["publisher"],
): Finding & { readonly object: string } {
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
      message: `the slot on the ${side} waits for the prepared transaction ${preparedAs ?? ""} of ${user ?? "an unknown role"}, open since ${since}`,
      remedy: `COMMIT PREPARED ${quoteLiteral(preparedAs ?? "")}, or ROLLBACK PREPARED ${quoteLiteral(preparedAs ?? "")}`,
    };
  return {
    ...common,
    object: `session ${pid}`,
    message: `the slot on the ${side} waits for session ${pid} of ${user ?? "an unknown role"} (${applicationName ?? "no application name"}, ${state ?? "state unknown"}), whose transaction is open since ${since}`,
    remedy: `have it end its transaction, or SELECT pg_terminate_backend(${pid})`,
  };
}

/** Names whom a slot, or the point of a cutover, waits for, and how to end each; again only when it is others. */
export function blockerReporter(
  { journal }: Work,
  database: string,
  side: StreamRoles["publisher"],
): NonNullable<SlotOptions["onWaiting"]> {
  let said = "";
  return (sessions) => {
    const who = sessions.map((one) => one.pid ?? one.preparedAs ?? "").join();
    if (who === said) return;
    said = who;
    const findings = sessions.map((session) => ({ database, ...blockerFinding(session, side) }));
    const named = findings.map(
      ({ object }, index) => `${object} (${sessions[index]!.applicationName ?? "no application name"})`,
    );
    const message = `waiting for older transactions on the ${side}: ${named.join(", ")}`;
    const tell = async (): Promise<void> => {
      await journal.database(database, { message });
      await journal.findings(findings);
    };
    void tell().catch(() => undefined);
  };
}
