import type { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import pg from "pg";
import { guardMessages } from "./message-guard.js";

const timeoutMs = 10_000;

/** Fields of `pg`'s client that its types omit: the key of BackendKeyData, which permits canceling, and TLS options. */
interface Cancelable {
  readonly processID: number | null;
  readonly secretKey: number | null;
  readonly ssl: false | ConnectionOptions;
}

/** The interface of pg's connection below its queries. TLS negotiation replaces its stream. */
interface Wire extends EventEmitter {
  readonly stream: Socket;
  connect(port: number, host: string): void;
  requestSsl(): void;
  cancel(processId: number, secretKey: number): void;
}

/**
 * Asks the server to cancel the running statement of a client's session, as libpq's PQcancelStart does. It uses a
 * connection of its own, with TLS if the session has TLS, because a proxy may refuse other connections.
 *
 * It settles when the server has sent the signal, or when that failed. The server does not confirm a cancel: the caller
 * has to check whether the statement ends.
 */
export function requestCancel(client: pg.Client): Promise<void> {
  const { processID, secretKey, ssl } = client as unknown as Cancelable;
  if (processID === null || secretKey === null) return Promise.resolve();
  const wire = new pg.Connection({ ssl }) as unknown as Wire;
  guardMessages(wire, `${client.host}:${client.port}`);
  const socket = wire.stream;
  const send = (): void => wire.cancel(processID, secretKey);
  return new Promise((resolve) => {
    wire.once("connect", ssl ? () => wire.requestSsl() : send);
    // Never before the certificate is verified: the key permits canceling.
    wire.once("sslconnect", () => wire.stream.once("secureConnect", send));
    // `end` follows an error. If the request failed, the caller sees that the statement continues.
    wire.on("error", () => undefined);
    wire.once("end", resolve);
    socket.setTimeout(timeoutMs, () => socket.destroy());
    wire.connect(client.port, client.host);
  });
}
