import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { InvalidInputError, messageOf } from "../errors.js";
import type { StoreAddress } from "../store/store.js";
import { Access } from "./access.js";
import { loadAssets } from "./assets.js";
import { Feed } from "./feed.js";
import { Records } from "../fleet/records.js";
import { Site } from "./site.js";

export interface DashboardOptions extends StoreAddress {
  readonly address: string;
  /** 0 picks a free port. */
  readonly port: number;
  readonly token: string;
  readonly allowedHosts: readonly string[];
  readonly readOnly: boolean;
}

export interface Dashboard {
  /** Contains the token, for a browser. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves the dashboard until it is closed.
 *
 * @example
 *   const dashboard = await startDashboard({ target, maintenanceDatabase: "postgres", address: "127.0.0.1", port: 0, token });
 *   console.log(dashboard.url);
 *
 * @throws InvalidInputError when it cannot listen on the address
 */
export async function startDashboard(options: DashboardOptions): Promise<Dashboard> {
  const records = new Records(options, "dashboard");
  const assets = await loadAssets();
  const server = createServer({
    headersTimeout: 10_000,
    requestTimeout: 30_000,
    // Detects pages whose machine has vanished.
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
  });
  const port = await listen(server, options);
  const host = options.address.includes(":") ? `[${options.address}]` : options.address;
  const hosts = [host, "localhost", "127.0.0.1", "[::1]"];
  const feed = new Feed(records);
  const access = new Access({ token: options.token, port, hosts, proxies: options.allowedHosts });
  const { target, readOnly } = options;
  const settings = { target: `${target.host}:${target.port}`, readOnly };
  const site = new Site({ access, records, feed, assets, settings });
  server.on("request", (request, response) => {
    site.answer(request, response).catch(() => response.destroy());
  });
  return {
    url: `http://${host}:${port}/?token=${encodeURIComponent(options.token)}`,
    async close() {
      await feed.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await records.close();
    },
  };
}

function listen(server: Server, { address, port }: DashboardOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      reject(new InvalidInputError([{ property: "--listen", reason: `${address}:${port}: ${messageOf(cause)}` }]));
    });
    server.listen(port, address, () => resolve((server.address() as AddressInfo).port));
  });
}
