import { type AddressInfo, type Server, type Socket, connect, createServer } from "node:net";

/** The same values as PgBouncer's pool_mode. */
type Mode = "session" | "transaction";

/**
 * A connection pooler. Clients see a process ID of the pooler, and in transaction mode each transaction goes to the server
 * session that was idle last. Each login of a client adds one server session to the pool of its database.
 */
export class Pooler {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #idle = new Map<string, ServerSession[]>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(port: number, mode: Mode): Promise<Pooler> {
    const server = createServer({ noDelay: true });
    const pooler = new Pooler(server);
    server.on("connection", (client) => pooler.#serve(client, port, mode));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return pooler;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(client: Socket, port: number, mode: Mode): void {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    for (const one of [client, socket]) this.#keep(one);
    let using: ServerSession | undefined = new ServerSession(socket);
    let idle: ServerSession[] | undefined;
    const use = (session: ServerSession): ServerSession => {
      session.client = client;
      session.onIdle = () => {
        if (mode === "session") return;
        idle!.push(session);
        using = undefined;
      };
      return session;
    };
    use(using);
    client.on("data", (bytes: Buffer) => {
      idle ??= this.#poolOf(bytes);
      // The server session outlives its client.
      if (bytes[0] === terminate && bytes.length === 5 && mode === "transaction") return client.end();
      using ??= use(idle.pop()!);
      using.socket.write(bytes);
      return undefined;
    });
    if (mode === "session") client.on("close", () => socket.end());
  }

  /** The pool of the database and user in a startup packet. */
  #poolOf(startup: Buffer): ServerSession[] {
    const words = startup.subarray(8).toString().split("\0");
    const key = ["user", "database"].map((name) => words[words.indexOf(name) + 1]).join();
    const pool = this.#idle.get(key) ?? [];
    this.#idle.set(key, pool);
    return pool;
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }
}

const [terminate, backendKeyData, readyForQuery] = ["X", "K", "Z"].map((type) => type.charCodeAt(0));
const idleStatus = "I".charCodeAt(0);

class ServerSession {
  client: Socket | undefined;
  onIdle: () => void = () => undefined;
  #rest = Buffer.alloc(0);

  constructor(readonly socket: Socket) {
    socket.on("data", (bytes: Buffer) => this.#relay(bytes));
  }

  #relay(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= 5 && this.#rest.length > this.#rest.readInt32BE(1)) {
      const end = this.#rest.readInt32BE(1) + 1;
      const message = this.#rest.subarray(0, end);
      this.#rest = this.#rest.subarray(end);
      if (message[0] === backendKeyData) message.writeInt32BE(4_000_000 + message.readInt32BE(5), 5);
      const client = this.client;
      // Before the write, because the client's next message needs an idle session.
      if (message[0] === readyForQuery && message[5] === idleStatus) this.onIdle();
      client?.write(message);
    }
  }
}
