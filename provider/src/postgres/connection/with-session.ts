import type { Client } from "pg";
import { connect } from "./connect.js";
import type { ConnectOptions, Endpoint } from "./endpoint.js";

/**
 * Opens a session, runs the function in it, and ends the session, also after an error.
 *
 * @throws RefusedError, UnreachableError as `connect` does
 * @example await withSession(source, { database: "crm", purpose: "look at slot" }, (session) => inspectSlot(session, slot));
 */
export async function withSession<T>(
  endpoint: Endpoint,
  options: ConnectOptions,
  run: (session: Client) => Promise<T>,
): Promise<T> {
  const session = await connect(endpoint, options);
  try {
    return await run(session);
  } finally {
    await session.end();
  }
}
