import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { InvalidInput, NotFound, Refused, messageOf } from "../errors.js";
import { migrationResource } from "../display/migration-resource.js";
import { askCancel, askCutover } from "../store/user-requests.js";
import { findMigration, listMigrations } from "../store/list-migrations.js";
import { readEvents } from "../store/read-events.js";
import { readStatus } from "../store/read-status.js";
import { readTables } from "../store/read-tables.js";
import { readSamples } from "../store/samples.js";
import type { Store, StoreAddress } from "../store/store.js";
import { Access } from "./access.js";
import { loadAssets, type Asset } from "./assets.js";
import { Feed } from "./feed.js";
import type { PageSettings } from "./messages.js";
import { metricsText } from "./metrics.js";
import { openApi } from "./openapi.js";
import { Records } from "./records.js";

export interface DashboardOptions extends StoreAddress {
  readonly address: string;
  /** 0 for any that is free. */
  readonly port: number;
  readonly token: string;
  readonly allowedHosts: readonly string[];
  readonly readOnly: boolean;
}

export interface Dashboard {
  /** With the token, for a browser. */
  readonly url: string;
  close(): Promise<void>;
}

/** Serves the page until it is closed. @throws InvalidInput when the address cannot be listened on */
export async function startDashboard(options: DashboardOptions): Promise<Dashboard> {
  const records = new Records(options);
  const assets = await loadAssets();
  const server = createServer();
  const port = await listen(server, options);
  const host = options.address.includes(":") ? `[${options.address}]` : options.address;
  const hosts = [host, "localhost", "127.0.0.1", "[::1]", ...options.allowedHosts];
  const feed = new Feed(records);
  const site = new Site(new Access({ token: options.token, port, hosts }), records, feed, assets, options);
  server.on("request", (request, response) => void site.answer(request, response));
  return {
    url: `http://${host}:${port}/?token=${encodeURIComponent(options.token)}`,
    async close() {
      feed.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await records.close();
    },
  };
}

function listen(server: Server, { address, port }: DashboardOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      reject(new InvalidInput([{ property: "--listen", reason: `${address}:${port}: ${messageOf(cause)}` }]));
    });
    server.listen(port, address, () => resolve((server.address() as AddressInfo).port));
  });
}

const securityHeaders = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

type Reading = (store: Store, name: string) => Promise<unknown>;

const readings: Readonly<Record<string, Reading>> = {
  "": async (store, name) => {
    const migration = await findMigration(store, name);
    return migration && migrationResource(migration, await readStatus(store, name));
  },
  tables: async (store, name) => ((await findMigration(store, name)) ? readTables(store, name) : undefined),
  events: async (store, name) => ((await findMigration(store, name)) ? readEvents(store, name) : undefined),
  history: async (store, name) => ((await findMigration(store, name)) ? readSamples(store, name) : undefined),
};

const askings: Readonly<Record<string, (store: Store, name: string) => Promise<void>>> = {
  cutover: askCutover,
  cancel: askCancel,
};

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly content: string | Buffer;
}

const json = (status: number, answer: unknown): Reply => ({
  status,
  headers: { "content-type": "application/json; charset=utf-8", "cache-control": "no-store" },
  content: JSON.stringify(answer),
});

/** Answers requests. No answer holds a secret: the records have none, and the token is sent back as a cookie only. */
class Site {
  constructor(
    readonly access: Access,
    readonly records: Records,
    readonly feed: Feed,
    readonly assets: ReadonlyMap<string, Asset>,
    readonly options: DashboardOptions,
  ) {}

  /** Never fails: what goes wrong is an answer. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value);
    const url = new URL(request.url ?? "/", "http://dashboard");
    const reply = await this.#reply(request, url).catch((error: unknown) =>
      json(statusOf(error), { error: messageOf(error) }),
    );
    if (reply === "stream") {
      this.feed.attach(response, url.searchParams.get("migration") ?? undefined);
      return;
    }
    const { status, headers, content } = reply;
    response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(content) }).end(content);
  }

  async #reply(request: IncomingMessage, url: URL): Promise<Reply | "stream"> {
    const host = this.access.checkHost(request);
    if (!host.allowed) return json(host.status, { error: host.why });
    if (url.pathname === "/healthz") return this.#health();
    if (url.pathname === "/" && this.access.isToken(url.searchParams.get("token") ?? undefined)) return this.#letIn();
    const verdict = this.access.check(request);
    if (!verdict.allowed) return json(verdict.status, { error: verdict.why });
    if (request.method === "POST") return this.#ask(url);
    if (request.method !== "GET") return json(405, { error: "GET and POST are answered" });
    return this.#show(url);
  }

  /** Keeps the token in a cookie, and takes it out of the address. */
  #letIn(): Reply {
    return { status: 303, headers: { location: "/", "set-cookie": this.access.cookie }, content: "" };
  }

  async #health(): Promise<Reply> {
    try {
      await this.records.read([], listMigrations);
      return json(200, { status: "ok" });
    } catch {
      // Why is for those who know the token.
      return json(503, { status: "the target's records cannot be read" });
    }
  }

  async #show({ pathname }: URL): Promise<Reply | "stream"> {
    if (pathname === "/api/events") return "stream";
    if (pathname === "/api/settings") return json(200, this.#settings());
    if (pathname === "/api" || pathname === "/api/openapi.json") return json(200, openApi);
    if (pathname === "/metrics") return this.#metrics();
    if (pathname === "/api/migrations") {
      const list = await this.records.read([], listMigrations);
      return json(
        200,
        list.map((one) => migrationResource(one)),
      );
    }
    const { name, what = "" } = migrationPath(pathname);
    const read = readings[what];
    if (name === undefined || !read) return this.#asset(pathname === "/" ? "index.html" : pathname.slice(1));
    const found = await this.records.read<unknown>(undefined, (store) => read(store, name));
    return found === undefined ? json(404, { error: `no migration ${name}` }) : json(200, found);
  }

  async #ask({ pathname }: URL): Promise<Reply> {
    const { name, what = "" } = migrationPath(pathname);
    const ask = askings[what];
    if (name === undefined || !ask) return json(404, { error: "nothing here can be asked for" });
    if (this.options.readOnly) return json(403, { error: "this dashboard is read-only" });
    const isAsked = await this.records.read(false, async (store) => {
      await ask(store, name);
      return true;
    });
    return isAsked ? json(202, { asked: what }) : json(404, { error: `no migration ${name}` });
  }

  async #metrics(): Promise<Reply> {
    const measured = await this.records.read([], async (store) => {
      const statuses = [];
      for (const { name } of await listMigrations(store))
        statuses.push({ name, status: await readStatus(store, name) });
      return statuses.flatMap(({ name, status }) => (status ? [{ name, status }] : []));
    });
    const headers = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };
    return { status: 200, headers, content: metricsText(measured) };
  }

  #settings(): PageSettings {
    const { target, readOnly } = this.options;
    return { readOnly, target: `${target.host}:${target.port}` };
  }

  #asset(name: string): Reply {
    const asset = this.assets.get(name);
    if (!asset) return json(404, { error: "nothing is here" });
    const headers = { "content-type": asset.type, "cache-control": "no-cache" };
    return { status: 200, headers, content: asset.content };
  }
}

/** `/api/migrations/<name>[/<what>]` */
function migrationPath(pathname: string): { name?: string; what?: string } {
  const match = /^\/api\/migrations\/([A-Za-z0-9-]+)(?:\/([a-z]+))?$/.exec(pathname);
  if (!match) return {};
  return { name: match[1]!, ...(match[2] === undefined ? {} : { what: match[2] }) };
}

function statusOf(error: unknown): number {
  if (error instanceof NotFound) return 404;
  return error instanceof Refused ? 409 : 503;
}
