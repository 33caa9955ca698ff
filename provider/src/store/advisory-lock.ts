import { log } from "../log.js";
import { delay } from "../async/delay.js";
import type { Client } from "pg";
import { TimeoutError } from "../errors.js";

const pollMs = 200;

interface Wait {
  /** The lock's name in messages. */
  readonly what: string;
  readonly reportAfterMs: number;
  readonly giveUpAfterMs: number;
  readonly report: (line: string) => unknown;
  readonly signal?: AbortSignal;
}

const defaultWait: Wait = {
  what: "the lock of the target's migration records",
  reportAfterMs: 3000,
  giveUpAfterMs: 60_000,
  report: (line) => log.warn(line),
};

/**
 * Takes one of the advisory locks on the target. The number is public, so that any role with a connection can hold it.
 *
 * @param lock an expression that tries to take the lock at once, such as `pg_try_advisory_lock(1)`
 * @param key the lock's number, which finds its holder
 * @throws TimeoutError after `giveUpAfterMs`, by default a minute, naming the sessions that hold the lock
 * @throws the signal's reason
 */
export async function takeAdvisoryLock(
  client: Client,
  lock: string,
  key: number,
  wait: Partial<Wait> = {},
): Promise<void> {
  const { what, reportAfterMs, giveUpAfterMs, report, signal } = { ...defaultWait, ...wait };
  const startedAt = Date.now();
  let isReported = false;
  while (!(await isTaken(client, lock))) {
    const waitedMs = Date.now() - startedAt;
    if (waitedMs > giveUpAfterMs) {
      const { text, remedy } = await describeHolders(client, key);
      throw new TimeoutError(`${what} was not free within ${giveUpAfterMs / 1000} s: ${text}`, {
        remedy,
      });
    }
    if (waitedMs >= reportAfterMs && !isReported) {
      isReported = true;
      const { text } = await describeHolders(client, key);
      await report(`waiting for ${what}: ${text}`);
    }
    await delay(pollMs, signal);
    signal?.throwIfAborted();
  }
}

async function isTaken(client: Client, lock: string): Promise<boolean> {
  const { rows } = await client.query<{ taken: boolean }>(`SELECT ${lock} AS taken`);
  return rows[0]!.taken;
}

async function describeHolders(client: Client, key: number): Promise<{ text: string; remedy: string }> {
  const { rows } = await client.query<{ pid: number }>(
    `SELECT pid FROM pg_catalog.pg_locks
      WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND classid = 0 AND objid = $1::int8::oid
        AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
        AND pid <> pg_catalog.pg_backend_pid()`,
    [key],
  );
  const pids = rows.map(({ pid }) => pid);
  const text = pids.length === 0 ? "no session holds it now" : `held by ${await describeSessions(client, pids)}`;
  return { text, remedy: endSessions(pids) };
}

/** `session 4711 of app (psql)`, for each process ID. */
export async function describeSessions(client: Client, pids: readonly number[]): Promise<string> {
  const { rows } = await client.query<{ session: string }>(
    `SELECT format('session %s of %s%s', one.pid, coalesce(a.usename, 'another role'),
                   CASE WHEN a.application_name <> '' THEN ' (' || a.application_name || ')' ELSE '' END) AS session
       FROM unnest($1::int[]) AS one (pid) LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)`,
    [pids],
  );
  return rows.map(({ session }) => session).join(", ");
}

/** The remedy for sessions that hold a lock of the records. */
export const endSessions = (pids: readonly number[]): string =>
  `end that session on the target, and run this again: ${pids.map((pid) => `SELECT pg_terminate_backend(${pid})`).join("; ")}`;
