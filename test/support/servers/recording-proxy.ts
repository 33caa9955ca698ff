import { type AddressInfo, createServer, connect, type Server, type Socket } from "node:net";

/** Number of requests by the session's purpose and the beginning of the statement, without names, numbers and texts. */
export type RequestCounts = ReadonlyMap<string, number>;

const statementBytes = 100;

/**
 * A proxy to a server of this machine that counts requests. Bytes of the client are one request until the server answers, so that
 * each request is a round trip. It only reads connections without TLS.
 */
export class RecordingProxy {
  readonly #counts = new Map<string, number>();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor(serverPort: number) {
    this.#server = createServer({ noDelay: true }, (near) => this.#pass(near, serverPort));
  }

  static async to(serverPort: number): Promise<RecordingProxy> {
    const proxy = new RecordingProxy(serverPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get counts(): RequestCounts {
    return this.#counts;
  }

  get isInUse(): boolean {
    return this.#sockets.size > 0;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #pass(near: Socket, serverPort: number): void {
    const far = connect({ port: serverPort, host: "127.0.0.1", noDelay: true });
    let purpose: string | undefined;
    let isAnswered = true;
    near.on("data", (bytes: Buffer) => {
      purpose ??= purposeOf(bytes);
      if (isAnswered) this.#count(`${purpose}: ${statementOf(bytes)}`);
      isAnswered = false;
    });
    far.on("data", () => (isAnswered = true));
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

  #count(request: string): void {
    this.#counts.set(request, (this.#counts.get(request) ?? 0) + 1);
  }
}

const purposeOf = (startUp: Buffer): string =>
  /application_name\0pg-migration ([^\0#]*)/.exec(startUp.toString("latin1"))?.[1]?.replace(/m-\w+ /, "") ?? "?";

/** Message types and lengths are no text. */
const statementOf = (request: Buffer): string =>
  request
    .toString("latin1")
    .replace(/^.[^]{4}/, "")
    .replaceAll(/"[^"]*"|'[^']*'|\d+/g, "?")
    .replaceAll(/[^\x20-\x7e]+|\s+/g, " ")
    .slice(0, statementBytes);
