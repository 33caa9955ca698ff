import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { InvalidInputError, messageOf } from "../errors.js";
import type { StoreAddress } from "../store/installation/records-database.js";
import { Access } from "./access.js";
import { loadAssets } from "./assets.js";
import type { Api } from "./api.js";
import { FleetApi } from "./fleet/fleet-api.js";
import type { FleetSource } from "./fleet/fleet.js";
import { Records } from "../fleet/records.js";
import { Site } from "./site.js";
import { TargetApi } from "./target-api.js";

export interface ListenOptions {
  readonly address: string;
  /** 0 picks a free port. */
  readonly port: number;
  readonly token: string;
  readonly allowedHosts: readonly string[];
  readonly readOnly: boolean;
}

/** Serves the migrations into one target, or into many. */
export type DashboardOptions = ListenOptions & (StoreAddress | { readonly fleet: FleetSource });

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
  const access = new Access({ token: options.token, port, hosts, proxies: options.allowedHosts });
  const { api, release } = apiOf(options);
  const site = new Site({ access, api, assets });
  server.on("request", (request, response) => {
    site.answer(request, response).catch(() => response.destroy());
  });
  return {
    url: `http://${host}:${port}/?token=${encodeURIComponent(options.token)}`,
    async close() {
      await api.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await release();
    },
  };
}

/** The API, and what closes its sessions after the last request. */
function apiOf(options: DashboardOptions): { readonly api: Api; readonly release: () => Promise<void> } {
  const { readOnly } = options;
  if ("fleet" in options) {
    const api = new FleetApi(options.fleet, { target: options.fleet.name, readOnly, isFleet: true });
    return { api, release: () => api.fleet.close() };
  }
  const records = new Records(options, "dashboard");
  const { host, port } = options.target;
  const api = new TargetApi(records, { target: `${host}:${port}`, readOnly, isFleet: false });
  return { api, release: () => records.close() };
}

function listen(server: Server, { address, port }: ListenOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      reject(new InvalidInputError([{ property: "--listen", reason: `${address}:${port}: ${messageOf(cause)}` }]));
    });
    server.listen(port, address, () => resolve((server.address() as AddressInfo).port));
  });
}
