import { RefusedError, UnreachableError } from "../errors.js";
import { isStarting } from "../postgres/connection/connection-loss.js";
import type { Finding } from "../findings.js";

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
  if (!(error instanceof RefusedError || error instanceof UnreachableError) || isStarting(error)) throw error;
  const [what] = error.message.split("\n");
  const message = `${prefix}: ${what!.replace(/^\d{6}: /, "")}`;
  return { ...finding, state: "Failed", code: error.code, message, remedy: error.remedy };
}

/** What a server refuses whatever the database: the role, the password, TLS, or the connection itself. */
const serverCodes: readonly (string | undefined)[] = ["603000", "603001", "603100"];

/**
 * Reports what concerns a server once, with the databases that it was found for, instead of once for each database.
 *
 * @param findings connection findings of one server, each with its database
 */
export function mergeServerFindings(findings: readonly Finding[], server: string): Finding[] {
  const merged = new Map<string, { finding: Finding; databases: string[] }>();
  for (const finding of findings) {
    const { database, code, message, remedy } = finding;
    const isOfServer = database !== undefined && serverCodes.includes(code);
    const shared = isOfServer ? message.replace(`/${database}: `, ": ") : message;
    const key = JSON.stringify([isOfServer ? "" : database, code, shared, remedy]);
    const group = merged.get(key);
    if (group) group.databases.push(database!);
    else if (!isOfServer) merged.set(key, { finding, databases: [] });
    else {
      const { database: _database, ...rest } = finding;
      merged.set(key, {
        finding: { ...rest, object: server, objectType: "Instance", message: shared },
        databases: [database],
      });
    }
  }
  return [...merged.values()].map(({ finding, databases }) =>
    databases.length > 1
      ? { ...finding, message: `${finding.message}, for the databases ${databases.join(", ")}` }
      : finding,
  );
}
