import type { Client } from "pg";
import { RefusedError } from "../../errors.js";
import { connect } from "./connect.js";
import type { Endpoint } from "./endpoint.js";

/** Codes of {@link connect} that concern one database: pg_hba.conf, a pooler without it, no such database, no CONNECT. */
const aboutOneDatabase: readonly unknown[] = ["PGM-101", "PGM-102", "PGM-103", "PGM-104"];

/** Databases that most servers have. A session in `template1` prevents CREATE DATABASE, so it is the last. */
const usual = ["postgres", "defaultdb"];

/** A server, and which of its databases to try first. */
export interface AnyDatabase {
  readonly endpoint: Endpoint;
  readonly preferred: readonly string[];
  readonly purpose: string;
}

/**
 * Runs the function in a session with any database of a server, for catalogues that all databases share.
 *
 * @throws RefusedError if no database accepts the session, with the first refusal; otherwise as `connect` does
 * @example await withAnyDatabase({ endpoint: source, preferred: ["crm"], purpose: "list databases" }, listDatabases);
 */
export async function withAnyDatabase<T>(server: AnyDatabase, run: (session: Client) => Promise<T>): Promise<T> {
  const session = await connectToAny(server);
  try {
    return await run(session);
  } finally {
    await session.end();
  }
}

/** Opens the session of {@link withAnyDatabase}. */
export async function connectToAny({ endpoint, preferred, purpose }: AnyDatabase): Promise<Client> {
  let refusal: RefusedError | undefined;
  for (const database of new Set([...preferred, ...usual, endpoint.user, "template1"]))
    try {
      return await connect(endpoint, { database, purpose });
    } catch (error) {
      if (!(error instanceof RefusedError) || !aboutOneDatabase.includes(error.code)) throw error;
      refusal ??= error;
    }
  const [first] = refusal!.message.split("\n");
  throw new RefusedError(`no database of ${endpoint.host}:${endpoint.port} accepts this role: ${first}`, {
    remedy: `add the name of a database to dbsToMigrate that ${endpoint.user} may open, or ${refusal!.remedy}`,
    cause: refusal,
  });
}
