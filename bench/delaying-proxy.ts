import { type AddressInfo, type Server, type Socket, connect, createServer } from "node:net";

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
      near.on("data", (bytes: Buffer) => setTimeout(() => far.write(bytes), delayMs));
      near.on("end", () => setTimeout(() => far.end(), delayMs));
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
