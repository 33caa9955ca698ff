import type { Client } from "pg";
import { UnreachableError } from "../../errors.js";
import { blockingSessions, describeBlockers } from "../locks/blocking-sessions.js";
import { serverVersion } from "../server-version.js";
import { abandon, streamOf } from "./session.js";

/**
 * Called at each check that finds the session waiting for a lock, with the blockers and the number of consecutive
 * checks.
 */
export type OnBlocked = (by: string, looks: number) => void;

export interface WatchOptions {
  readonly session: Client;
  /** Process ID of the session's backend. BackendKeyData can contain the process ID of a pooler instead. */
  readonly processId: number;
  /** Server and database, for messages. */
  readonly where: string;
  /** Opens another session on the same server. */
  readonly ask: () => Promise<Client>;
  /** How long the session may be silent before each check. */
  readonly patienceMs: number;
  readonly onBlocked?: OnBlocked;
}

/** The result of the last check. */
interface Sight {
  heardBytes: number;
  sentBytes: number;
  sentMessages: number | undefined;
  /** Whether the server had to send the next message when the check started. */
  isDue: boolean;
  /** Whether a message was sent since the server reported the same state for the first time. */
  isMessagePending: boolean;
  /** Identifies the wait for the client, if the session waits for it. */
  waiting: string | undefined;
  blockedLooks: number;
}

/**
 * Closes dead connections. Without an answer, a dead connection looks like a long statement. The server knows the
 * difference: when a session is silent, another connection asks the server for its state. The session is abandoned if
 * its backend has ended, or if backend and client wait for each other.
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
   * Watches the session until the work in it has ended. If the session is abandoned, the work fails with
   * UnreachableError.
   *
   * @param isDue whether the server has to send the next message. False in a COPY while the client sends; by default
   * true.
   * @param sentMessages number of messages sent completely in a COPY, if known: the server counts only complete rows.
   */
  async during<Result>(
    work: Promise<Result>,
    isDue: () => boolean = () => true,
    sentMessages: () => number | undefined = () => undefined,
  ): Promise<Result> {
    const sight: Sight = {
      ...this.#bytes(),
      sentMessages: 0,
      isDue: false,
      isMessagePending: false,
      waiting: undefined,
      blockedLooks: 0,
    };
    let looking: Promise<void> | undefined;
    const timer = setInterval(() => {
      looking ??= this.#look(sight, isDue, sentMessages).finally(() => (looking = undefined));
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

  async #look(sight: Sight, isDue: () => boolean, sentMessages: () => number | undefined): Promise<void> {
    const bytes = this.#bytes();
    const messages = sentMessages();
    // Not later: the session's state does not include what the client sends while this check waits for it.
    const due = isDue();
    const wait = bytes.heardBytes === sight.heardBytes ? await this.#wait(sight.blockedLooks + 1) : {};
    // Two equal checks are required: a message that was on its way during the first check has arrived by the second.
    const isSame = wait.client !== undefined && wait.client === sight.waiting;
    // Sent rows may take time to arrive. A COPY whose counters did not change since the check before has received nothing.
    const isRowMissing = wait.isCounted && (messages === undefined || sight.isMessagePending);
    const isStill = bytes.sentBytes === sight.sentBytes ? due && sight.isDue : isRowMissing;
    const stillSilent = this.#bytes().heardBytes === bytes.heardBytes;
    if (isSame && stillSilent && (isStill || wait.client === sessionEnded)) this.#abandon(wait.client ?? sessionEnded);
    sight.heardBytes = bytes.heardBytes;
    sight.sentBytes = bytes.sentBytes;
    sight.isMessagePending = isSame && (sight.isMessagePending || messages !== sight.sentMessages);
    sight.sentMessages = messages;
    sight.isDue = due;
    sight.waiting = wait.client;
    sight.blockedLooks = wait.lock ? sight.blockedLooks + 1 : 0;
  }

  #abandon(wait: string): void {
    const { session, where } = this.#options;
    const state = wait === sessionEnded ? "no longer exists" : `waits for this client (${wait})`;
    abandon(session, new UnreachableError(`the connection to ${where} is dead: its session ${state}`));
  }

  /** The wait of the session: empty if it is working or if the server cannot be asked. */
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
      // The server has no free connection or cannot be reached. A later check will show whether the session exists.
      return {};
    }
  }
}

const sessionEnded = "ended";

interface Wait {
  /** Set while the session waits for its client. Distinguishes this wait from a later one. */
  readonly client?: string;
  /** Whether the state contains the number of bytes that a COPY has read. */
  readonly isCounted?: boolean;
  /** Whether the session waits for a lock of another session. */
  readonly lock?: boolean;
}

/**
 * During a slow COPY the session waits for its client most of the time, although the COPY makes progress. The byte
 * counter of pg_stat_progress_copy shows this.
 */
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
  if (!session) return { client: sessionEnded };
  if (session.waitsFor === "Client") return { client: session.since, isCounted: session.isCounted };
  return { lock: session.waitsFor === "Lock" };
}

const watches = new WeakMap<Client, SessionWatch>();

/**
 * Ensures that every awaited statement of a session ends: on a dead connection it is rejected with UnreachableError.
 */
export function watchStatements(watch: SessionWatch, session: Client): void {
  const query = session.query.bind(session) as (...statement: readonly unknown[]) => unknown;
  // Several pending statements need only one watch.
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

/** The watch of a session; undefined for a session opened with `unwatched`. */
export const watchOf = (session: Client): SessionWatch | undefined => watches.get(session);
