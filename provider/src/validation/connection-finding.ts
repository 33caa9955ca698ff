import { RefusedError, UnreachableError } from "../errors.js";
import { isStarting } from "../postgres/connection/connection-loss.js";
import type { FindingCode } from "../finding-codes/finding-code.js";
import type { Finding, Problem } from "../findings.js";

/**
 * The finding for a session that could not be opened. Its message is the error's first line, because the remedy has its
 * own field.
 *
 * @throws the given error, if it is neither a refusal nor a network error, or if the server only restarts
 */
export function connectionFinding(
  error: unknown,
  prefix: string,
  finding: Omit<Problem, "message" | "state" | "code">,
): Problem {
  // A restarting server needs no correction.
  if (!(error instanceof RefusedError || error instanceof UnreachableError) || isStarting(error)) throw error;
  const [what] = error.message.split("\n");
  const message = `${prefix}: ${what!.replace(/^(\d{6}|PGM-\d+): /, "")}`;
  return { ...finding, state: "Failed", code: error.code ?? "603000", message, remedy: error.remedy };
}

/** Codes that do not depend on the database: the role, the password, TLS, or the connection itself. */
const serverCodes: readonly (FindingCode | undefined)[] = ["603000", "603001", "603100", "PGM-105"];

/**
 * Merges findings about a server into one that lists the databases.
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
