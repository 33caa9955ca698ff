import { randomInt } from "node:crypto";
import { connect, createServer, type Server, type Socket } from "node:net";
import pg from "pg";
import { startAzureLikeServer } from "../../support/servers/azure-like";
import type { EmbeddedServer } from "../../support/servers/embedded-server";
import { type Properties, text } from "./properties";

/** Parameters that are not applied, because the embedded server lacks the libraries. */
const notApplied = new Set(["shared_preload_libraries"]);

const azureParameters = { "azure.enable_temp_tablespaces_on_local_ssd": "on" };

/** A flexible server: an embedded PostgreSQL at its own loopback address on port 5432. */
export class RunningServer {
  private constructor(
    readonly database: EmbeddedServer,
    readonly address: string,
    readonly relay: Server,
    readonly sockets: Set<Socket>,
  ) {}

  static async start(inputs: Properties): Promise<RunningServer> {
    const { server, administrator } = await startAzureLikeServer({ major: 17, parameters: azureParameters });
    const login = pg.escapeIdentifier(text(inputs, "administratorLogin"));
    await server.query(`ALTER ROLE ${administrator.user} RENAME TO ${login}`);
    const sockets = new Set<Socket>();
    const relay = createServer((socket) => {
      const onward = connect(server.port, "127.0.0.1");
      for (const [one, other] of [[socket, onward] as const, [onward, socket] as const]) {
        sockets.add(one);
        one.on("error", () => other.destroy()).on("close", () => sockets.delete(one));
        one.pipe(other);
      }
    });
    const address = `127.${randomInt(1, 250)}.${randomInt(1, 250)}.${randomInt(4, 250)}`;
    await new Promise<void>((resolve, reject) => relay.once("error", reject).listen(5432, address, resolve));
    const running = new RunningServer(server, address, relay, sockets);
    await running.change(inputs);
    return running;
  }

  /** Applies a change of the server to PostgreSQL. */
  async change(inputs: Properties): Promise<void> {
    const login = pg.escapeIdentifier(text(inputs, "administratorLogin"));
    const password = pg.escapeLiteral(text(inputs, "administratorLoginPassword"));
    await this.database.query(`ALTER ROLE ${login} PASSWORD ${password}`);
  }

  /** @param value undefined resets the parameter */
  async setParameter(name: string, value: string | undefined): Promise<void> {
    if (notApplied.has(name)) return;
    const parameter = name.split(".").map(pg.escapeIdentifier).join(".");
    const setting = value === undefined ? `RESET ${parameter}` : `SET ${parameter} = ${pg.escapeLiteral(value)}`;
    await this.database.query(`ALTER SYSTEM ${setting}`);
    await this.database.query("SELECT pg_reload_conf()");
  }

  /** Whether a parameter takes effect without a restart. */
  async isDynamic(name: string): Promise<boolean> {
    const [row] = await this.database.query<{ context: string }>("SELECT context FROM pg_settings WHERE name = $1", {
      values: [name],
    });
    return row?.context !== "postmaster";
  }

  restart(): Promise<void> {
    return this.database.restart();
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.relay.close(resolve));
    await this.database.stop();
  }
}
