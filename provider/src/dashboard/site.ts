import type { IncomingMessage, ServerResponse } from "node:http";
import { InvalidInputError, NotFoundError, RefusedError, messageOf } from "../errors.js";
import { migrationResource } from "../display/migration-resource.js";
import { findMigration, listMigrations } from "../store/list-migrations.js";
import { changeMigration } from "../resource/changes/change-migration.js";
import { readReport } from "../report/read-report.js";
import { renderReport } from "../report/render-report.js";
import type { MigrationReport } from "../report/report-schema.js";
import { reportPolicy } from "../report/report-style.js";
import { readEvents } from "../store/read-events.js";
import { readStatus } from "../store/read-status.js";
import { readTables } from "../store/read-tables.js";
import { readSamples } from "../store/samples.js";
import type { Store, StoreAddress } from "../store/store.js";
import type { Access } from "./access.js";
import type { Asset } from "./assets.js";
import type { Feed } from "./feed.js";
import { listWithOverviews } from "../fleet/list-overviews.js";
import type { PageSettings } from "./messages.js";
import { readJsonBody } from "./json-body.js";
import { metricsText } from "./metrics.js";
import { listSourceDatabases, type RequestBody, startNewMigration, summarizeNewMigration } from "./new-migration.js";
import { openApi } from "./openapi.js";
import type { Records } from "../fleet/records.js";
import { isChange, requestedChange } from "./requested-change.js";
import { parseRequestTarget, type RequestTarget } from "./request-target.js";

export interface SiteOptions {
  readonly access: Access;
  readonly records: Records;
  readonly feed: Feed;
  /** The files of the page, which are public. */
  readonly assets: ReadonlyMap<string, Asset>;
  readonly settings: PageSettings;
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly content: string | Buffer;
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

/** Undefined where the migration does not exist. */
type GetRoute = (store: Store, name: string) => Promise<unknown>;

/** By the part of the path after `/api/migrations/<name>/`. Maps: names from requests must not reach prototypes. */
const getRoutes: ReadonlyMap<string, GetRoute> = new Map<string, GetRoute>([
  [
    "",
    async (store, name) => {
      const migration = await findMigration(store, name);
      return migration && migrationResource(migration, await readStatus(store, name));
    },
  ],
  ["tables", async (store, name) => ((await findMigration(store, name)) ? readTables(store, name) : undefined)],
  ["events", async (store, name) => ((await findMigration(store, name)) ? readEvents(store, name) : undefined)],
  ["history", async (store, name) => ((await findMigration(store, name)) ? readSamples(store, name) : undefined)],
  ["report", readReport],
  ["report.html", readReport],
]);

const json = (status: number, answer: unknown, headers: Readonly<Record<string, string>> = {}): Reply => ({
  status,
  headers: { "content-type": "application/json; charset=utf-8", "cache-control": "no-store", ...headers },
  content: JSON.stringify(answer),
});

const methodNotAllowed = (allow: string): Reply => json(405, { error: `allowed methods: ${allow}` }, { allow });

const notFound = json(404, { error: "not found" });
const readOnly = json(403, { error: "this dashboard is read-only" });

type PostRoute = (address: StoreAddress, body: RequestBody) => Promise<unknown>;

/** Requests that precede a migration or create one. Their body contains the password of the source. */
const newMigrationRoutes: ReadonlyMap<string, PostRoute> = new Map<string, PostRoute>([
  ["/api/source-databases", listSourceDatabases],
  ["/api/summary", summarizeNewMigration],
  ["/api/migrations", startNewMigration],
]);

/** Answers requests. No answer contains a secret: the records have none, and the token is returned only as a cookie. */
export class Site {
  constructor(readonly options: SiteOptions) {}

  /** Never rejects: every failure becomes an answer. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A client may leave at any moment. A write after that emits an error, which must not end the process.
    response.on("error", () => undefined);
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value);
    const target = parseRequestTarget(request.url ?? "");
    const reply = target
      ? await this.#reply(request, target).catch((error: unknown) => json(statusOf(error), { error: messageOf(error) }))
      : json(400, { error: "invalid request target" });
    if (reply === "stream") {
      this.options.feed.attach(response, target?.query.get("migration") ?? undefined);
      return;
    }
    const { status, headers, content } = reply;
    response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(content) }).end(content);
  }

  async #reply(request: IncomingMessage, target: RequestTarget): Promise<Reply | "stream"> {
    const { access, assets } = this.options;
    const { path, query } = target;
    const host = access.checkHost(target.host ?? request.headers.host);
    if (!host.allowed) return json(host.status, { error: host.reason });
    const isRead = request.method === "GET" || request.method === "HEAD";
    if (path === "/" && isRead && access.isToken(query.get("token"))) return this.#signIn("/");
    const asset = assets.get(path === "/" ? "index.html" : path.slice(1));
    if (asset) return isRead ? assetReply(asset) : methodNotAllowed("GET, HEAD");
    if (path === "/healthz") return isRead ? this.#health() : methodNotAllowed("GET, HEAD");
    const decision = access.check(request);
    if (!decision.allowed) {
      const headers = decision.status === 401 ? { "www-authenticate": "Bearer" } : {};
      return json(decision.status, { error: decision.reason }, headers);
    }
    if (isRead) return this.#get(path, request.method === "HEAD");
    if (request.method === "POST") return this.#post(request, target);
    return methodNotAllowed("GET, HEAD, POST");
  }

  /** Keeps the token in a cookie, and removes it from the address. */
  #signIn(location: string): Reply {
    return { status: 303, headers: { location, "set-cookie": this.options.access.cookie }, content: "" };
  }

  async #health(): Promise<Reply> {
    try {
      await this.options.records.readShared("health", [], listMigrations);
      return json(200, { status: "ok" });
    } catch {
      // The reason is shown only to clients with the token.
      return json(503, { status: "the target's records cannot be read" });
    }
  }

  async #get(path: string, isHead: boolean): Promise<Reply | "stream"> {
    const { records, feed, settings } = this.options;
    if (path === "/api/events") {
      if (isHead) return { status: 200, headers: { "content-type": "text/event-stream" }, content: "" };
      return feed.isFull ? json(503, { error: "too many pages are open" }, { "retry-after": "10" }) : "stream";
    }
    if (path === "/api/settings") return json(200, settings);
    if (path === "/api/session") return methodNotAllowed("POST");
    if (path === "/api" || path === "/api/openapi.json") return json(200, openApi);
    if (path === "/metrics") return this.#metrics();
    if (path === "/api/migrations") {
      return json(200, await records.readShared(path, [], listWithOverviews));
    }
    if (newMigrationRoutes.has(path)) return methodNotAllowed("POST");
    const { name, action } = migrationPath(path);
    if (name === undefined) return notFound;
    if (isChange(action)) return methodNotAllowed("POST");
    const read = getRoutes.get(action);
    if (!read) return notFound;
    const found = await records.readShared<unknown>(path, undefined, (store) => read(store, name));
    if (found === undefined) return json(404, { error: `no migration ${name}` });
    return action === "report.html" ? reportReply(found as MigrationReport) : json(200, found);
  }

  async #post(request: IncomingMessage, { path, query }: RequestTarget): Promise<Reply> {
    const { access, records, settings } = this.options;
    if (path === "/api/session") return json(200, { status: "signed in" }, { "set-cookie": access.cookie });
    const run = newMigrationRoutes.get(path);
    if (run) {
      if (settings.readOnly) return readOnly;
      return json(200, await run(records.address, await readJsonBody(request)));
    }
    const { name, action } = migrationPath(path);
    if (name === undefined) return notFound;
    if (getRoutes.has(action)) return methodNotAllowed("GET, HEAD");
    const change = requestedChange(action, query);
    if (!change) return notFound;
    if (settings.readOnly) return readOnly;
    const isRequested = await records.read(false, async (store) => {
      await changeMigration(store, name, change);
      return true;
    });
    return isRequested ? json(202, { requested: action }) : json(404, { error: `no migration ${name}` });
  }

  async #metrics(): Promise<Reply> {
    const measured = await this.options.records.readShared("/metrics", [], async (store) => {
      const statuses = [];
      for (const { name } of await listMigrations(store))
        statuses.push({ name, status: await readStatus(store, name) });
      return statuses.flatMap(({ name, status }) => (status ? [{ name, status }] : []));
    });
    const headers = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };
    return { status: 200, headers, content: metricsText(measured) };
  }
}

const assetReply = ({ type, content }: Asset): Reply => ({
  status: 200,
  headers: { "content-type": type, "cache-control": "no-cache" },
  content,
});

/** The report has its own style within the file. */
const reportReply = (report: MigrationReport): Reply => ({
  status: 200,
  headers: {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy": `${reportPolicy}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  },
  content: renderReport(report),
});

/** Splits `/api/migrations/<name>[/<action>]`. */
function migrationPath(path: string): { readonly name: string | undefined; readonly action: string } {
  const [, name, action = ""] = /^\/api\/migrations\/([A-Za-z0-9-]+)(?:\/([a-z-]+(?:\.html)?))?$/.exec(path) ?? [];
  return { name, action };
}

function statusOf(error: unknown): number {
  if (error instanceof InvalidInputError) return 400;
  if (error instanceof NotFoundError) return 404;
  return error instanceof RefusedError ? 409 : 503;
}
