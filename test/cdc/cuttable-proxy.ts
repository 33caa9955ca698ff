import { type AddressInfo, createServer, connect, type Server, type Socket } from "node:net";
import type { Endpoint } from "../../provider/src/postgres/connect";

/** A way to a server that can be cut and mended. */
export class CuttableProxy {
  readonly #server: Server;
  readonly #behind: Endpoint;
  readonly #sockets = new Set<Socket>();
  #mended = true;

  private constructor(behind: Endpoint) {
    this.#behind = behind;
    this.#server = createServer((socket) => this.#relay(socket));
  }

  static async to(behind: Endpoint): Promise<CuttableProxy> {
    const proxy = new CuttableProxy(behind);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get endpoint(): Endpoint {
    return { ...this.#behind, port: (this.#server.address() as AddressInfo).port };
  }

  /** Resets every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  refuse(): void {
    this.#mended = false;
    this.cut();
  }

  mend(): void {
    this.#mended = true;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #relay(near: Socket): void {
    if (!this.#mended) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(this.#behind.port, this.#behind.host);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  }
}
