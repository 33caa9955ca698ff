import { type AddressInfo, type Server, type Socket, connect, createServer } from "node:net";
import type { Login } from "../test/support/servers/embedded-server";

/** The bytes that a client may have under way. More than a real connection has, so that the delay alone counts. */
const windowBytes = 16 * 2 ** 20;

/** Relays connections to a port of this machine, and delays the bytes of the client. Each round trip takes longer by it. */
export class DelayingProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(port: number, delayMs: number): Promise<DelayingProxy> {
    const server = createServer({ noDelay: true });
    const proxy = new DelayingProxy(server);
    server.on("connection", (near) => {
      const far = connect({ port, host: "127.0.0.1", noDelay: true });
      proxy.#join(near, far);
      relayLater(near, far, delayMs);
      far.pipe(near);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(...pair: readonly [Socket, Socket]): void {
    for (const socket of pair) {
      this.#sockets.add(socket);
      const other = socket === pair[0] ? pair[1] : pair[0];
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }
}

/** Without a limit, a client that sends faster than the server reads would fill the memory. */
function relayLater(near: Socket, far: Socket, delayMs: number): void {
  let underWayBytes = 0;
  near.on("data", (bytes: Buffer) => {
    underWayBytes += bytes.length;
    if (underWayBytes > windowBytes) near.pause();
    setTimeout(
      () =>
        far.write(bytes, () => {
          underWayBytes -= bytes.length;
          if (underWayBytes <= windowBytes) near.resume();
        }),
      delayMs,
    );
  });
  near.on("end", () => setTimeout(() => far.end(), delayMs));
}

/** Runs an action with the logins of servers that are far. Without a delay, the logins are those of the servers. */
export async function withDelay<Result>(
  logins: readonly [Login, Login],
  delayMs: number,
  action: (source: Login, target: Login) => Promise<Result>,
): Promise<Result> {
  if (delayMs === 0) return action(...logins);
  const proxies = await Promise.all(logins.map(({ port }) => DelayingProxy.to(port, delayMs)));
  try {
    const [source, target] = logins.map((login, at) => ({ ...login, port: proxies[at]!.port }));
    return await action(source!, target!);
  } finally {
    await Promise.all(proxies.map((proxy) => proxy.close()));
  }
}
