import type { Client } from "pg";
import { requestCancel } from "./cancel-request.js";

const sessions = new Set<Client>();

/** Remembers a session until it ends. */
export function rememberSession(client: Client): void {
  sessions.add(client);
  client.once("end", () => sessions.delete(client));
}

/**
 * Cancels all statements that this process waits for, so that it can stop soon. Otherwise a lock on the source or a
 * long index build could delay the stop for hours. With `databases`, cancels only statements in databases of these
 * names.
 */
export async function cancelOpenStatements(databases?: readonly string[]): Promise<void> {
  const concerned = [...sessions].filter(({ database }) => !databases || databases.includes(database ?? ""));
  await Promise.all(concerned.map(requestCancel));
}
