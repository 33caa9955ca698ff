import { once } from "node:events";
import { type AddressInfo, type Socket, connect, createServer } from "node:net";
import { TLSSocket, createSecureContext } from "node:tls";
import type { ServerCertificate } from "./certificates";

const sslRequestCode = 80877103;

export interface TlsGate {
  readonly port: number;
  stop(): Promise<void>;
}

/** A proxy that accepts only TLS, with its own certificate, and connects to the server without TLS. */
export async function startTlsGate(serverPort: number, certificate: ServerCertificate): Promise<TlsGate> {
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
      const server = connect(serverPort, "127.0.0.1");
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
