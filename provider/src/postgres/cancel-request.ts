import { connect } from "node:net";
import type { Client } from "pg";

const cancelRequestCode = 80877102;
const patienceMs = 10_000;

/** What BackendKeyData has told `pg`: who may cancel what runs in the session. `pg` does not type these two. */
interface BackendKey {
  readonly processID: number | null;
  readonly secretKey: number | null;
}

/**
 * Asks the server to cancel what runs in a client's session, as libpq's PQcancel does: over a connection of its own and
 * without TLS, which servers answer before they look at pg_hba.conf. It settles when the server has sent the signal, or
 * when it is plain that it will not: a cancel is a wish, and the caller has to see for itself whether the statement ends.
 */
export function requestCancel(client: Client): Promise<void> {
  const { processID, secretKey } = client as unknown as BackendKey;
  if (processID === null || secretKey === null) return Promise.resolve();
  const message = Buffer.alloc(16);
  message.writeInt32BE(16, 0);
  message.writeInt32BE(cancelRequestCode, 4);
  message.writeInt32BE(processID, 8);
  message.writeInt32BE(secretKey, 12);
  return new Promise((resolve) => {
    const socket = connect({ host: client.host, port: client.port, timeout: patienceMs });
    socket.once("connect", () => socket.write(message));
    socket.once("timeout", () => socket.destroy());
    // An error is followed by `close`; that the wish went unheard is seen by the statement going on.
    socket.once("error", () => undefined);
    socket.once("close", () => {
      resolve();
    });
    socket.resume();
  });
}
