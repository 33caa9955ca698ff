import type { Client } from "pg";
import { Unreachable } from "../errors.js";
import { connect, type Endpoint } from "../postgres/connect.js";
import { blockingSessions, describeBlockers } from "../postgres/blocking-sessions.js";
import { serverVersion } from "../postgres/server-version.js";
import { abandon, streamOf } from "../postgres/session.js";

/** Told at every look that finds the session waiting for a lock: for whom, and at how many looks in a row. */
export type OnBlocked = (by: string, looks: number) => void;

interface Sight {
  heardBytes: number;
  /** For its client. */
  waiting: string | undefined;
  blockedLooks: number;
}

/**
 * A connection whose other end has gone without a word looks like a statement that takes long. The server knows which it
 * is: while nothing is heard in the session, it is asked over another connection what that session does. One that waits for
 * its client while its client waits for it, or is not there any more, is let go.
 */
export class TargetWatch {
  readonly #endpoint: Endpoint;
  readonly #database: string;
  readonly #session: Client;
  readonly #processId: number;
  readonly #patienceMs: number;
  readonly #onBlocked: OnBlocked;

  /** @param patienceMs how long the session may be silent before it is looked at, and then until it is looked at again */
  private constructor(
    endpoint: Endpoint,
    database: string,
    session: Client,
    processId: number,
    patienceMs: number,
    onBlocked: OnBlocked,
  ) {
    this.#onBlocked = onBlocked;
    this.#endpoint = endpoint;
    this.#database = database;
    this.#session = session;
    this.#processId = processId;
    this.#patienceMs = patienceMs;
  }

  static async of(
    endpoint: Endpoint,
    database: string,
    session: Client,
    patienceMs: number,
    onBlocked: OnBlocked,
  ): Promise<TargetWatch> {
    // Not that of the protocol: behind a pooler it is the pooler's.
    const { rows } = await session.query<{ pid: number }>("SELECT pg_catalog.pg_backend_pid() AS pid");
    return new TargetWatch(endpoint, database, session, rows[0]!.pid, patienceMs, onBlocked);
  }

  get processId(): number {
    return this.#processId;
  }

  /** Looks after the session until the work in it has ended, which fails with Unreachable when the session is let go. */
  async during<Result>(work: Promise<Result>): Promise<Result> {
    const sight: Sight = { heardBytes: streamOf(this.#session).bytesRead, waiting: undefined, blockedLooks: 0 };
    let looking: Promise<void> | undefined;
    const timer = setInterval(() => {
      looking ??= this.#look(sight).finally(() => (looking = undefined));
    }, this.#patienceMs);
    try {
      return await work;
    } finally {
      clearInterval(timer);
    }
  }

  async #look(sight: Sight): Promise<void> {
    const heardBytes = streamOf(this.#session).bytesRead;
    const wait = heardBytes === sight.heardBytes ? await this.#wait(sight.blockedLooks + 1) : {};
    const waiting = wait.client;
    // Twice the same, so that what was on its way at the first look has had time to arrive.
    const stillSilent = streamOf(this.#session).bytesRead === heardBytes;
    if (waiting !== undefined && waiting === sight.waiting && stillSilent)
      abandon(
        this.#session,
        new Unreachable(
          `the connection to ${this.#database} on ${this.#endpoint.host}:${this.#endpoint.port} is dead: its session there is ${waiting}`,
        ),
      );
    sight.heardBytes = heardBytes;
    sight.waiting = waiting;
    sight.blockedLooks = wait.lock ? sight.blockedLooks + 1 : 0;
  }

  /** What the session waits for: nothing when it is at work, or nobody can tell. */
  async #wait(look: number): Promise<Wait> {
    try {
      const asking = await connect(this.#endpoint, { database: this.#database, purpose: "watch a batch" });
      try {
        const wait = await waitOf(asking, this.#processId);
        if (wait.lock) this.#onBlocked(describeBlockers(await blockingSessions(asking, this.#processId)), look);
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

interface Wait {
  /** For its client: what tells this wait from any later one. */
  readonly client?: string;
  /** For a lock that somebody else holds. */
  readonly lock?: boolean;
}

/** A COPY whose data come slowly waits for its client most of the time, and yet gets on. */
async function waitOf(asking: Client, processId: number): Promise<Wait> {
  const copied =
    (await serverVersion(asking)) >= 140000
      ? "pg_catalog.pg_stat_progress_copy"
      : "(SELECT NULL::int AS pid, 0 AS bytes_processed)";
  const { rows } = await asking.query<{ waitsFor: string | null; since: string }>(
    `SELECT a.wait_event_type AS "waitsFor",
            concat_ws(' ', a.state, a.wait_event, a.query_start, a.state_change, c.bytes_processed) AS since
       FROM pg_catalog.pg_stat_activity a LEFT JOIN ${copied} c ON c.pid = a.pid WHERE a.pid = $1`,
    [processId],
  );
  const session = rows[0];
  if (!session) return { client: "gone" };
  if (session.waitsFor === "Client") return { client: session.since };
  return { lock: session.waitsFor === "Lock" };
}
