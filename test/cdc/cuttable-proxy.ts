import { type AddressInfo, createServer, connect, type Server, type Socket } from "node:net";
import type { Endpoint } from "../../provider/src/postgres/connection/endpoint";

/** Connections that wait until the test releases them. */
export class HeldConnections {
  /** Resolves when a connection is held. */
  readonly first: Promise<void>;
  release: () => void = () => undefined;
  readonly #text: string;
  readonly #over: Promise<void>;
  #onFirst: () => void = () => undefined;

  constructor(text: string) {
    this.#text = text;
    this.first = new Promise((resolve) => (this.#onFirst = resolve));
    this.#over = new Promise((resolve) => (this.release = resolve));
  }

  async until(startUp: Buffer): Promise<void> {
    if (!startUp.includes(this.#text)) return;
    this.#onFirst();
    await this.#over;
  }
}

/** A round trip: the client's first bytes after an answer of the server, and the application_name of the session. */
export interface Turn {
  readonly session: string;
  readonly request: string;
}

/** Length of the recorded beginning of a request. */
const recordedBytes = 1000;

/** A proxy to a server whose connections a test can reset, refuse, block or slow down. */
export class CuttableProxy {
  readonly #server: Server;
  readonly #behind: Endpoint;
  readonly #sockets = new Set<Socket>();
  readonly #pairs = new Set<{ readonly near: Socket; readonly far: Socket }>();
  #mended = true;
  #breakAfterBytes = Infinity;
  #onRelay: () => void = () => undefined;
  #held: HeldConnections | undefined;
  readonly #turns: Turn[] = [];

  private constructor(behind: Endpoint) {
    this.#behind = behind;
    this.#server = createServer({ noDelay: true }, (socket) => this.#relay(socket));
  }

  static async to(behind: Endpoint): Promise<CuttableProxy> {
    const proxy = new CuttableProxy(behind);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get endpoint(): Endpoint {
    return { ...this.#behind, port: (this.#server.address() as AddressInfo).port };
  }

  /** The beginning of each request on all connections so far. Only connections without TLS can be read. */
  get turns(): readonly Turn[] {
    return this.#turns;
  }

  /** Number of turns that began with a query. The others continue the rows of a COPY. */
  get queries(): number {
    return this.#turns.filter(({ request }) => request.startsWith("Q\0")).length;
  }

  get isInUse(): boolean {
    return this.#sockets.size > 0;
  }

  /** Resets every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  refuse(): void {
    this.#mended = false;
    this.cut();
  }

  /** Accepts connections again. @param onRelay called for each of them */
  mend(onRelay: () => void = () => undefined): void {
    this.#mended = true;
    this.#onRelay = onRelay;
  }

  /**
   * From now on, holds connections whose start-up message contains the text, until they are released. The start-up message is
   * not encrypted.
   */
  hold(text: string): HeldConnections {
    return (this.#held = new HeldConnections(text));
  }

  /** Stops forwarding to the server on the existing connections. Answers of the server still arrive. */
  holdBackWords(): void {
    for (const { near } of this.#pairs) near.unpipe().pause();
  }

  /** Discards all bytes on the existing connections in both directions, as on half-open connections. */
  swallow(): void {
    for (const { near, far } of this.#pairs) for (const socket of [near, far]) socket.unpipe().resume();
  }

  /** From now on, resets each connection after this number of bytes in both directions. */
  breakAfter(bytes: number): void {
    this.#breakAfterBytes = bytes;
  }

  /** Limits the rate to the server on each existing connection. */
  slowDown(bytesPerSecond: number): void {
    for (const { near, far } of this.#pairs) {
      near.unpipe(far);
      near.on("data", (chunk: Buffer) => {
        far.write(chunk);
        near.pause();
        setTimeout(() => near.resume(), (1000 * chunk.length) / bytesPerSecond);
      });
      near.resume();
    }
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
    this.#onRelay();
    if (!this.#held) {
      this.#pass(near);
      return;
    }
    const held = this.#held;
    near.once("data", (startUp: Buffer) => {
      near.pause();
      near.unshift(startUp);
      void held.until(startUp).then(() => this.#pass(near));
    });
  }

  #pass(near: Socket): void {
    const far = connect({ port: this.#behind.port, host: this.#behind.host, noDelay: true });
    const pair = { near, far };
    this.#pairs.add(pair);
    let hasAnswer = true;
    let session: string | undefined;
    near.on("data", (bytes: Buffer) => {
      const request = bytes.toString("latin1", 0, recordedBytes);
      session ??= /application_name\0([^\0]*)/.exec(request)?.[1] ?? "?";
      if (hasAnswer) this.#turns.push({ session, request });
      hasAnswer = false;
    });
    far.on("data", () => (hasAnswer = true));
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        this.#sockets.delete(one);
        this.#pairs.delete(pair);
        other.destroy();
      });
      one.pipe(other);
      one.on("data", () => {
        if (near.bytesRead + far.bytesRead > this.#breakAfterBytes) near.resetAndDestroy();
      });
    }
  }
}
