import { once } from "node:events";
import { type AddressInfo, type Socket, connect, createServer } from "node:net";
import { type Duplex, duplexPair } from "node:stream";
import { TLSSocket, connect as connectTls, createSecureContext } from "node:tls";
import type { ServerCertificate } from "./certificates";

const sslRequestCode = 80877103;

export interface TlsGate {
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * A proxy that accepts only TLS, with its own certificate.
 *
 * @param encryptsAgain whether it connects to the server with TLS, otherwise without
 */
export async function startTlsGate(
  serverPort: number,
  certificate: ServerCertificate,
  { encryptsAgain = false } = {},
): Promise<TlsGate> {
  const secureContext = createSecureContext({ cert: certificate.certificate, key: certificate.privateKey });
  const open = new Set<Socket>();
  const gate = createServer((client) => {
    open.add(client.once("close", () => open.delete(client)).on("error", () => client.destroy()));
    client.once("data", (first) => {
      if (first.readInt32BE(4) !== sslRequestCode) {
        client.destroy();
        return;
      }
      client.write("S");
      const secure = new TLSSocket(client, { isServer: true, secureContext });
      const server = encryptsAgain ? encrypted(serverPort) : connect(serverPort, "127.0.0.1");
      secure.on("error", () => server.destroy()).pipe(server);
      server.on("error", () => secure.destroy()).pipe(secure);
    });
  }).listen(0, "127.0.0.1");
  await once(gate, "listening");
  return {
    port: (gate.address() as AddressInfo).port,
    stop: async () => {
      for (const client of open) client.destroy();
      await new Promise((resolve) => gate.close(resolve));
    },
  };
}

/** A socket that negotiates TLS before it passes anything. */
function encrypted(port: number): Duplex {
  const plain = connect(port, "127.0.0.1");
  const request = Buffer.alloc(8);
  request.writeInt32BE(request.length, 0);
  request.writeInt32BE(sslRequestCode, 4);
  plain.write(request);
  const [inside, outside] = duplexPair();
  plain.once("error", () => outside.destroy());
  plain.once("data", () => {
    const secure = connectTls({ socket: plain, rejectUnauthorized: false });
    secure.on("error", () => outside.destroy()).pipe(outside);
    outside.on("error", () => secure.destroy()).pipe(secure);
  });
  return inside;
}
