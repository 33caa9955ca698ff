import type { Socket } from "node:net";
import pg from "pg";
import { messageOf } from "../../errors.js";
import { guardMessages } from "./message-guard.js";

/** How long the server may take to hang up, after it has dropped what was temporary. */
const partingMs = 15_000;

/**
 * A client whose end has an end: of a connection whose other side has gone without a word, as behind a gateway that has
 * forgotten it, nothing is ever heard, not even that it is over.
 */
export class Session extends pg.Client {
  #brokenBy: Error | undefined;

  constructor(config: pg.ClientConfig) {
    super(config);
    const { connection } = this as unknown as { connection: object };
    guardMessages(connection, `${config.user}@${config.host}:${config.port}/${config.database}`);
    this.once("error", (error: Error) => (this.#brokenBy = error));
  }

  /** What it was broken by while nothing ran in it, as the server or the socket said. */
  get brokenBy(): Error | undefined {
    return this.#brokenBy;
  }

  override async end(): Promise<void> {
    const late = setTimeout(() => abandon(this), partingMs);
    try {
      await super.end();
    } finally {
      clearTimeout(late);
    }
  }
}

/**
 * Of a session that has broken while nothing ran in it, `pg` says to the next statement only that it is not queryable:
 * what it was broken by instead, as far as the error is that and one of the sessions knows.
 */
export function whatBroke(error: unknown, sessions: readonly pg.Client[]): unknown {
  if (!/is not queryable/.test(messageOf(error))) return error;
  return sessions.map((session) => (session instanceof Session ? session.brokenBy : undefined)).find(Boolean) ?? error;
}

/** What a client reads and writes; under TLS another one than before it was agreed on. */
export const streamOf = (client: pg.Client): Socket =>
  (client as unknown as { connection: { stream: Socket } }).connection.stream;

/** Lets go of a connection at once, without a word to the server; what waits in it fails by the reason. */
export function abandon(client: pg.Client, reason?: Error): void {
  streamOf(client).destroy(reason);
}
