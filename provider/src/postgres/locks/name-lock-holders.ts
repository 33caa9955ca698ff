import type { Client } from "pg";
import { LockNotAvailableError, RefusedError, messageOf } from "../../errors.js";
import {
  type BlockingSession,
  blockingSessions,
  describeSession,
  endingStatement,
  omitAges,
} from "./blocking-sessions.js";
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
    throw isLockTimeout(error) && !(error instanceof LockNotAvailableError) ? heldUp(watch.seen, where, error) : error;
  } finally {
    await watch.end();
  }
}

/** Reads repeatedly which sessions block a session. */
class HolderWatch {
  /** The sessions found by the last check during a wait. */
  seen: readonly BlockingSession[] = [];
  readonly #pid: number;
  readonly #ask: () => Promise<Client>;
  readonly #timer: NodeJS.Timeout;
  #observer: Client | undefined;
  #looking: Promise<void> | undefined;

  constructor(pid: number, ask: () => Promise<Client>) {
    this.#pid = pid;
    this.#ask = ask;
    this.#timer = setInterval(() => {
      this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    }, lookEveryMs);
  }

  async #look(): Promise<void> {
    try {
      this.#observer ??= await this.#ask();
      const holders = await blockingSessions(this.#observer, this.#pid);
      if (holders.length > 0) this.seen = holders;
    } catch {
      // Holders that cannot be read are not named. The session's own statements report its loss.
      await this.#letGo();
    }
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
    await this.#letGo();
  }

  async #letGo(): Promise<void> {
    const observer = this.#observer;
    this.#observer = undefined;
    await observer?.end().catch(() => undefined);
  }
}

function heldUp(holders: readonly BlockingSession[], where: string, cause: unknown): LockNotAvailableError {
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
