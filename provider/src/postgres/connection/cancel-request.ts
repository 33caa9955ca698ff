import type { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import pg from "pg";
import { guardMessages } from "./message-guard.js";

const patienceMs = 10_000;

/** What `pg` knows of a session and does not type: what BackendKeyData has told, who may cancel, and its TLS. */
interface Cancelable {
  readonly processID: number | null;
  readonly secretKey: number | null;
  readonly ssl: false | ConnectionOptions;
}

/** What pg's connection offers beneath its queries; its stream is another one once TLS is agreed on. */
interface Wire extends EventEmitter {
  readonly stream: Socket;
  connect(port: number, host: string): void;
  requestSsl(): void;
  cancel(processId: number, secretKey: number): void;
}

/**
 * Asks the server to cancel what runs in a client's session, as libpq's PQcancelStart does: over a connection of its own,
 * under TLS where the session is, since a proxy before the server may let nothing else pass. It settles when the server has
 * sent the signal, or when it is plain that it will not: a cancel is a spec, and the caller has to see for itself whether
 * the statement ends.
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
    // Not before the certificate was checked: who has the key may cancel.
    wire.once("sslconnect", () => wire.stream.once("secureConnect", send));
    // An error is followed by `end`; that the spec went unheard is seen by the statement going on.
    wire.on("error", () => undefined);
    wire.once("end", resolve);
    socket.setTimeout(patienceMs, () => socket.destroy());
    wire.connect(client.port, client.host);
  });
}
