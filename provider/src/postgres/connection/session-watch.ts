import type { Client } from "pg";
import { UnreachableError } from "../../errors.js";
import { blockingSessions, describeBlockers } from "../locks/blocking-sessions.js";
import { serverVersion } from "../server-version.js";
import { abandon, streamOf } from "./session.js";

/** Told at every look that finds the session waiting for a lock: for whom, and at how many looks in a row. */
export type OnBlocked = (by: string, looks: number) => void;

export interface WatchOptions {
  readonly session: Client;
  /** The server's process for it. Not that of the protocol: behind a pooler it is the pooler's. */
  readonly processId: number;
  /** Where it is, for messages. */
  readonly where: string;
  /** Opens another session there. */
  readonly ask: () => Promise<Client>;
  /** How long the session may be silent before it is looked at, and then until it is looked at again. */
  readonly patienceMs: number;
  readonly onBlocked?: OnBlocked;
}

/** What was seen at the last look. */
interface Sight {
  heardBytes: number;
  sentBytes: number;
  /** For its client. */
  waiting: string | undefined;
  blockedLooks: number;
}

/**
 * A connection whose other end has gone without a word looks like a statement that takes long. The server knows which it
 * is: while nothing is heard in the session, it is asked over another connection what that session does. One that waits for
 * its client while its client waits for it, or is not there any more, is let go.
 */
export class SessionWatch {
  readonly #options: WatchOptions;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  get processId(): number {
    return this.#options.processId;
  }

  /**
   * Looks after the session until the work in it has ended, which fails with UnreachableError when the session is let go.
   *
   * @param isDue whether the next word is the server's; always, unless given: in a COPY it may be ours
   */
  async during<Result>(work: Promise<Result>, isDue: () => boolean = () => true): Promise<Result> {
    const sight: Sight = { ...this.#bytes(), waiting: undefined, blockedLooks: 0 };
    let looking: Promise<void> | undefined;
    const timer = setInterval(() => {
      looking ??= this.#look(sight, isDue).finally(() => (looking = undefined));
    }, this.#options.patienceMs);
    try {
      return await work;
    } finally {
      clearInterval(timer);
    }
  }

  #bytes(): { heardBytes: number; sentBytes: number } {
    const stream = streamOf(this.#options.session);
    return { heardBytes: stream.bytesRead, sentBytes: stream.bytesWritten - stream.writableLength };
  }

  async #look(sight: Sight, isDue: () => boolean): Promise<void> {
    const bytes = this.#bytes();
    const wait = bytes.heardBytes === sight.heardBytes ? await this.#wait(sight.blockedLooks + 1) : {};
    // Twice the same, so that what was on its way at the first look has had time to arrive.
    const isSame = wait.client !== undefined && wait.client === sight.waiting;
    // What is sent may take its time to arrive; of a COPY that has not moved meanwhile, nothing does.
    const isStill = bytes.sentBytes === sight.sentBytes ? isDue() : wait.isCounted;
    const stillSilent = this.#bytes().heardBytes === bytes.heardBytes;
    if (isSame && stillSilent && (isStill || wait.client === gone)) this.#letGo(wait.client ?? gone);
    sight.heardBytes = bytes.heardBytes;
    sight.sentBytes = bytes.sentBytes;
    sight.waiting = isDue() || wait.isCounted || wait.client === gone ? wait.client : undefined;
    sight.blockedLooks = wait.lock ? sight.blockedLooks + 1 : 0;
  }

  #letGo(state: string): void {
    const { session, where } = this.#options;
    abandon(session, new UnreachableError(`the connection to ${where} is dead: its session there is ${state}`));
  }

  /** What the session waits for: nothing when it is at work, or nobody can tell. */
  async #wait(look: number): Promise<Wait> {
    const { ask, processId, onBlocked } = this.#options;
    try {
      const asking = await ask();
      try {
        const wait = await waitOf(asking, processId);
        if (wait.lock) onBlocked?.(describeBlockers(await blockingSessions(asking, processId)), look);
        return wait;
      } finally {
        await asking.end();
      }
    } catch {
      // No connection left, or none at all: whether the session lives is seen when there is one again.
      return {};
    }
  }
}

const gone = "gone";

interface Wait {
  /** For its client: what tells this wait from any later one. */
  readonly client?: string;
  /** Whether the wait counts what a COPY has read. */
  readonly isCounted?: boolean;
  /** For a lock that somebody else holds. */
  readonly lock?: boolean;
}

/** A COPY whose data come slowly waits for its client most of the time, and yet gets on. */
async function waitOf(asking: Client, processId: number): Promise<Wait> {
  const copied =
    (await serverVersion(asking)) >= 140000
      ? "pg_catalog.pg_stat_progress_copy"
      : "(SELECT NULL::int AS pid, NULL::text AS command, 0 AS bytes_processed)";
  const { rows } = await asking.query<{ waitsFor: string | null; since: string; isCounted: boolean }>(
    `SELECT a.wait_event_type AS "waitsFor", coalesce(c.command = 'COPY FROM', false) AS "isCounted",
            concat_ws(' ', a.state, a.wait_event, a.query_start, a.state_change, c.bytes_processed) AS since
       FROM pg_catalog.pg_stat_activity a LEFT JOIN ${copied} c ON c.pid = a.pid WHERE a.pid = $1`,
    [processId],
  );
  const session = rows[0];
  if (!session) return { client: gone };
  if (session.waitsFor === "Client") return { client: session.since, isCounted: session.isCounted };
  return { lock: session.waitsFor === "Lock" };
}

const watches = new WeakMap<Client, SessionWatch>();

/**
 * Sees to it that every statement of a session that is awaited comes to an end; one on a dead line is rejected with
 * UnreachableError.
 */
export function watchStatements(watch: SessionWatch, session: Client): void {
  const query = session.query.bind(session) as (...statement: readonly unknown[]) => unknown;
  // However many wait in it, it is one session to look at.
  let awaited = 0;
  let allAnswered = (): void => undefined;
  const onAnswered = (): void => {
    if (--awaited === 0) allAnswered();
  };
  session.query = ((...statement: readonly unknown[]) => {
    const answer = query(...statement);
    if (!(answer instanceof Promise)) return answer;
    if (awaited++ === 0) void watch.during(new Promise<void>((resolve) => (allAnswered = resolve)));
    answer.then(onAnswered, onAnswered);
    return answer;
  }) as Client["query"];
  watches.set(session, watch);
}

/** Who looks after a session's statements; undefined where whoever opened it does it himself. */
export const watchOf = (session: Client): SessionWatch | undefined => watches.get(session);
