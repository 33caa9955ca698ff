import type { Client } from "pg";
import { connect, type Endpoint } from "../postgres/connect.js";
import { TargetWatch } from "./target-watch.js";

/** One of which every statement comes to an end; made by {@link watched}. */
export interface WatchedSession extends Client {
  readonly isWatched: true;
}

const usualPatienceMs = 30_000;

/** A new session of which every statement comes to an end, also on a line that has gone dead: see {@link watched}. */
export const connectWatched = async (
  endpoint: Endpoint,
  { database, purpose }: { readonly database: string; readonly purpose: string },
  patienceMs = usualPatienceMs,
): Promise<Client> => watched(endpoint, database, await connect(endpoint, { database, purpose }), patienceMs);

/**
 * Sees to it that every statement of a session comes to an end: one that takes hours looks like one whose line has broken
 * without a word, which the server can tell apart ({@link TargetWatch}). Takes over the session, also where it fails.
 *
 * @param patienceMs how long the session may be silent before it is looked at, and then until it is looked at again
 * @returns the session; a statement on a dead line is rejected with Unreachable
 */
export async function watched(
  endpoint: Endpoint,
  database: string,
  session: Client,
  patienceMs = usualPatienceMs,
): Promise<WatchedSession> {
  try {
    const watch = await TargetWatch.of(endpoint, database, session, patienceMs, () => undefined);
    const query = session.query.bind(session) as (...statement: readonly unknown[]) => unknown;
    session.query = ((...statement: readonly unknown[]) => {
      const answer = query(...statement);
      return answer instanceof Promise ? watch.during(answer) : answer;
    }) as Client["query"];
    return Object.assign(session, { isWatched: true } as const);
  } catch (error) {
    await session.end();
    throw error;
  }
}
