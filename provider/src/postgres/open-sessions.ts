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
 * a long index build would hold it for hours. With a database's name, only those in databases of that name.
 */
export async function cancelOpenStatements(database?: string): Promise<void> {
  const concerned = [...sessions].filter((session) => database === undefined || session.database === database);
  await Promise.all(concerned.map(requestCancel));
}
