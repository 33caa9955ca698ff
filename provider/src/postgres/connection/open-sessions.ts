import type { Client } from "pg";
import { requestCancel } from "./cancel-request.js";

const sessions = new Set<Client>();

/** Remembers a session until it ends. */
export function rememberSession(client: Client): void {
  sessions.add(client);
  client.once("end", () => sessions.delete(client));
}

/**
 * Cancels whatever statements this process is waiting for, so that one that is told to stop can: a lock on the source or
 * a long index build would hold it for hours. With databases' names, only those in databases of these names.
 */
export async function cancelOpenStatements(databases?: readonly string[]): Promise<void> {
  const concerned = [...sessions].filter(({ database }) => !databases || databases.includes(database ?? ""));
  await Promise.all(concerned.map(requestCancel));
}
