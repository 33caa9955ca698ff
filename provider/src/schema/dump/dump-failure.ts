import { LockNotAvailableError, RefusedError, UnreachableError } from "../../errors.js";

/**
 * What pg_dump, libpq beneath it and our own relay say of a connection that is gone, or of a server that is away for a
 * moment.
 */
const lostConnection =
  /connection broke|server closed the connection|terminating connection|the database system is (starting up|shutting down|in recovery)|could not (receive data from|send data to) server|SSL connection has been closed|Connection refused|timeout expired/i;

/** What the server says when the session that held the snapshot has ended: from 17 on that it does not exist. */
const lostSnapshot =
  /invalid snapshot identifier|snapshot "[^"]*" does not exist|could not import the requested snapshot/;

/** By its --lock-wait-timeout: its own statements have no other. */
const lockWaitedFor = /canceling statement due to statement timeout/;

/** @param complaint in pg_dump's own words, which are English: it is run without a locale */
export function dumpFailure(database: string, complaint: string, cause?: unknown): RefusedError | UnreachableError {
  const message = `pg_dump could not read ${database}: ${complaint}`;
  if (lostConnection.test(complaint) || lostSnapshot.test(complaint)) return new UnreachableError(message, { cause });
  if (lockWaitedFor.test(complaint))
    return new LockNotAvailableError(`pg_dump waits for a lock in ${database}`, { cause });
  return new RefusedError(message, {
    remedy: "correct on the source what it names, then run the migration again",
    cause,
  });
}
