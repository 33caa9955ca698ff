import { LockNotAvailableError, RefusedError, UnreachableError } from "../../errors.js";

/**
 * Messages of pg_dump, libpq and the engine's relay about lost connections and servers that are starting up or shutting
 * down.
 */
const lostConnection =
  /connection broke|server closed the connection|terminating connection|the database system is (starting up|shutting down|in recovery)|could not (receive data from|send data to) server|SSL connection has been closed|Connection refused|timeout expired/i;

/** Messages of the server after the session with the snapshot has ended. From 17 on: the snapshot does not exist. */
const lostSnapshot =
  /invalid snapshot identifier|snapshot "[^"]*" does not exist|could not import the requested snapshot/;

/** Caused by --lock-wait-timeout: pg_dump's own statements have no other timeout. */
const lockWaitedFor = /canceling statement due to statement timeout/;

/** @param complaint pg_dump's message; it is in English, because pg_dump runs without a locale */
export function dumpFailure(database: string, complaint: string, cause?: unknown): RefusedError | UnreachableError {
  const message = `pg_dump could not read ${database}: ${complaint}`;
  if (lostConnection.test(complaint) || lostSnapshot.test(complaint)) return new UnreachableError(message, { cause });
  if (lockWaitedFor.test(complaint))
    return new LockNotAvailableError(`pg_dump waits for a lock in ${database}`, { cause });
  return new RefusedError(message, {
    remedy: "correct the cause on the source, then run the migration again",
    cause,
  });
}
