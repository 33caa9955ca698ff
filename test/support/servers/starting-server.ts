import { createServer } from "node:net";
import { until } from "../until";

const sslRequestCode = 80877103;

export interface StartingServer {
  /** Waits until `times` logins were refused. */
  untilAsked(times: number): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Listens on the port of a stopped server like a server that is starting up: it answers each login with 57P03, and has no
 * TLS. Tests use it to wait until a worker has retried its connection.
 */
export async function startStartingServer(port: number): Promise<StartingServer> {
  const fields = ["SFATAL", "VFATAL", "C57P03", "Mthe database system is starting up", ""].join("\0") + "\0";
  const refusal = Buffer.alloc(5 + fields.length);
  refusal.write("E");
  refusal.writeInt32BE(4 + fields.length, 1);
  refusal.write(fields, 5);
  let asked = 0;
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      if (bytes.length === 8 && bytes.readInt32BE(4) === sslRequestCode) return socket.write("N");
      asked++;
      return socket.end(refusal);
    });
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    untilAsked: (times) => until(`${times} logins were refused`, () => asked >= times),
    // Answers the logins that have begun, because a starting server does not reset a connection.
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
