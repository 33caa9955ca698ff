import type { Client } from "pg";
import { PeriodicTask } from "../../async/periodic-task.js";
import { LockNotAvailableError, RefusedError, messageOf } from "../../errors.js";
import {
  type BlockingSession,
  blockingSessions,
  describeSession,
  endingStatement,
  omitAges,
} from "./blocking-sessions.js";
import { ReopenedSession } from "../connection/reopened-session.js";
import { isLockTimeout, lockRemedy } from "./lock-waits.js";

const lookEveryMs = 1000;

/**
 * Runs statements of a session that has a lock_timeout, and names the lock holders if it expires. The holders are read
 * while the statements wait.
 *
 * @param where the session's server and database, for messages
 * @param ask opens another session on that server
 * @throws LockNotAvailableError naming the holders and how to end them; a statement without its lock changed nothing
 */
export async function nameLockHolders<Result>(
  session: Client,
  { where, ask }: { readonly where: string; readonly ask: () => Promise<Client> },
  run: () => Promise<Result>,
): Promise<Result> {
  const { rows } = await session.query<{ pid: number }>("SELECT pg_catalog.pg_backend_pid() AS pid");
  const watch = new HolderWatch(rows[0]!.pid, ask);
  try {
    return await run();
  } catch (error) {
    throw isLockTimeout(error) && !(error instanceof LockNotAvailableError)
      ? lockNotAvailable(watch.seen, where, error)
      : error;
  } finally {
    await watch.end();
  }
}

/** Reads repeatedly which sessions block a session. */
class HolderWatch {
  /** The sessions found by the last check during a wait. */
  seen: readonly BlockingSession[] = [];
  readonly #observer: ReopenedSession;
  readonly #task: PeriodicTask;

  constructor(pid: number, ask: () => Promise<Client>) {
    this.#observer = new ReopenedSession(ask);
    // Holders that cannot be read are not named. The session's own statements report its loss.
    const run = (): Promise<void> => this.#look(pid).catch(() => undefined);
    this.#task = new PeriodicTask({ everyMs: lookEveryMs, pausesFirst: true, run, onFailure: () => undefined });
  }

  async #look(pid: number): Promise<void> {
    const holders = await this.#observer.use((observer) => blockingSessions(observer, pid));
    if (holders.length > 0) this.seen = holders;
  }

  async end(): Promise<void> {
    await this.#task.close();
    await this.#observer.close();
  }
}

function lockNotAvailable(holders: readonly BlockingSession[], where: string, cause: unknown): LockNotAvailableError {
  // The session itself did not wait: the error names what another session of ours waited for.
  if (holders.length === 0 && cause instanceof RefusedError) {
    const [what] = cause.message.split("\n  To do: ");
    return new LockNotAvailableError(what!, { remedy: cause.remedy ?? lockRemedy, cause });
  }
  const who = omitAges(holders.map(describeSession).join("; "));
  const [what] = messageOf(cause).split("\n  To do: ");
  return new LockNotAvailableError(
    `another session holds a lock on ${where} (${who || "it ended before it was identified"}): ${what!}`,
    {
      remedy: `wait until it ends its transaction, or run on ${where}: ${holders.map(endingStatement).join("; ") || "SELECT * FROM pg_locks"}`,
      cause,
    },
  );
}
