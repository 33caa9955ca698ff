import { type AddressInfo, createServer, connect, type Server, type Socket } from "node:net";
import type { Endpoint } from "../../provider/src/postgres/connection/endpoint";

export class HeldConnections {
  /** Resolves when one is held. */
  readonly first: Promise<void>;
  letGo: () => void = () => undefined;
  readonly #text: string;
  readonly #over: Promise<void>;
  #onFirst: () => void = () => undefined;

  constructor(text: string) {
    this.#text = text;
    this.first = new Promise((resolve) => (this.#onFirst = resolve));
    this.#over = new Promise((resolve) => (this.letGo = resolve));
  }

  async until(startUp: Buffer): Promise<void> {
    if (!startUp.includes(this.#text)) return;
    this.#onFirst();
    await this.#over;
  }
}

/** Of a turn. */
const toldBytes = 1000;

/** A way to a server that can be cut, blocked and mended. */
export class CuttableProxy {
  readonly #server: Server;
  readonly #behind: Endpoint;
  readonly #sockets = new Set<Socket>();
  readonly #pairs = new Set<{ readonly near: Socket; readonly far: Socket }>();
  #mended = true;
  #breakAfterBytes = Infinity;
  #onRelay: () => void = () => undefined;
  #held: HeldConnections | undefined;
  readonly #turns: string[] = [];

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

  /** Each round trip, on all connections there have been: the beginning of what a client said after it had heard something. */
  get turns(): readonly string[] {
    return this.#turns;
  }

  /** Resets every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  refuse(): void {
    this.#mended = false;
    this.cut();
  }

  /** @param onRelay told of each connection that is let through from now on */
  mend(onRelay: () => void = () => undefined): void {
    this.#mended = true;
    this.#onRelay = onRelay;
  }

  /**
   * From now on connections whose start-up message, which is not encrypted, has the text reach the server when they are
   * let go.
   */
  hold(text: string): HeldConnections {
    return (this.#held = new HeldConnections(text));
  }

  /** The server hears nothing more of what clients say on the connections there are; what it says still arrives. */
  holdBackWords(): void {
    for (const { near } of this.#pairs) near.unpipe().pause();
  }

  /** Takes all that either side says on the connections there are, and passes nothing on: half-open connections. */
  swallow(): void {
    for (const { near, far } of this.#pairs) for (const socket of [near, far]) socket.unpipe().resume();
  }

  /** Resets every connection, from now on, that so many bytes have gone through, either way. */
  breakAfter(bytes: number): void {
    this.#breakAfterBytes = bytes;
  }

  /** From now on so many bytes a second go to the server on each connection there is. */
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
    const far = connect(this.#behind.port, this.#behind.host);
    const pair = { near, far };
    this.#pairs.add(pair);
    let hasHeard = true;
    near.on("data", (said: Buffer) => {
      if (hasHeard) this.#turns.push(said.toString("latin1", 0, toldBytes));
      hasHeard = false;
    });
    far.on("data", () => (hasHeard = true));
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
