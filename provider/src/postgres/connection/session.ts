import type { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import pg from "pg";
import { messageOf } from "../../errors.js";
import { hidePassword } from "./hidden-password.js";
import { guardMessages } from "./message-guard.js";

/** How long the server may take to close the connection after Terminate: it first drops temporary tables. */
const partingMs = 15_000;

interface ParameterStatus {
  readonly parameterName: string;
  readonly parameterValue: string;
}

/**
 * A client whose `end()` is bounded. On a dead connection, for example after a gateway dropped it, no answer ever
 * arrives.
 */
export class Session extends pg.Client {
  #brokenBy: Error | undefined;
  #reportedVersion = NaN;

  constructor(config: pg.ClientConfig) {
    super(config);
    const { connection } = this as unknown as { connection: EventEmitter };
    guardMessages(connection, `${config.user}@${config.host}:${config.port}/${config.database}`);
    if (typeof config.password === "string") hidePassword(connection, config.password);
    this.once("error", (error: Error) => (this.#brokenBy = error));
    connection.on("parameterStatus", ({ parameterName, parameterValue }: ParameterStatus) => {
      if (parameterName === "server_version") this.#reportedVersion = Number.parseFloat(parameterValue);
    });
  }

  /** The error that broke the idle connection, from the server or the socket. */
  get brokenBy(): Error | undefined {
    return this.#brokenBy;
  }

  /** The beginning of the version that the server reports at the start: 9.6, 17.1. NaN if it is not a number. */
  get reportedVersion(): number {
    return this.#reportedVersion;
  }

  override async end(): Promise<void> {
    const timer = setTimeout(() => abandon(this), partingMs);
    try {
      await super.end();
    } finally {
      clearTimeout(timer);
    }
  }
}

/**
 * After an idle session broke, `pg` reports only that the client is not queryable. Returns the original error instead,
 * if one of the sessions has it.
 */
export function connectionErrorOf(error: unknown, sessions: readonly pg.Client[]): unknown {
  if (!/is not queryable/.test(messageOf(error))) return error;
  return sessions.map((session) => (session instanceof Session ? session.brokenBy : undefined)).find(Boolean) ?? error;
}

/** The process ID of BackendKeyData. Behind a pooler it is the pooler's. */
export const processIdOf = (client: pg.Client): number => (client as unknown as { processID: number }).processID;

/** The socket of a client. It changes when TLS is negotiated. */
export const streamOf = (client: pg.Client): Socket =>
  (client as unknown as { connection: { stream: Socket } }).connection.stream;

/** Closes a connection at once without notifying the server. Pending statements fail with the reason. */
export function abandon(client: pg.Client, reason?: Error): void {
  streamOf(client).destroy(reason);
}
