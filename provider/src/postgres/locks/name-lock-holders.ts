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
 * Runs statements of a session that give up on a lock after a while, and then tells who holds it: that has to be looked at
 * while they wait.
 *
 * @param where the session is, for messages
 * @param ask opens another session there
 * @throws LockNotAvailableError naming the holders and how to end them; what was not granted has done nothing
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

/** Looks whom a session waits for, for as long as it may. */
class HolderWatch {
  /** At the last look that found it waiting. */
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
      // Who cannot be asked is not named; whether the session itself lives, its own statements tell.
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
  return new LockNotAvailableError(`a lock on ${where} is held by ${who || "a session that was not seen"}: ${what!}`, {
    remedy: `let it end its transaction, or on ${where}: ${holders.map(endingStatement).join("; ") || "see pg_locks"}`,
    cause,
  });
}
