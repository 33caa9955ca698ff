import type { IncomingMessage } from "node:http";
import { listWithOverviews } from "../fleet/list-overviews.js";
import type { Records } from "../fleet/records.js";
import { migrationResource } from "../display/migration-resource.js";
import { readReport } from "../report/read-report.js";
import { renderReport } from "../report/render-report.js";
import type { MigrationReport } from "../report/report-schema.js";
import { reportPolicy } from "../report/report-style.js";
import { changeMigration } from "../resource/changes/change-migration.js";
import { findMigration, listMigrations } from "../store/list-migrations.js";
import { readEvents } from "../store/read-events.js";
import { readStatus } from "../store/read-status.js";
import { readTables } from "../store/read-tables.js";
import { readSamples } from "../store/samples.js";
import type { StoreAddress } from "../store/installation/records-database.js";
import type { Store } from "../store/store.js";
import type { Api } from "./api.js";
import { Feed } from "./feed.js";
import { readJsonBody } from "./json-body.js";
import type { PageSettings } from "./messages.js";
import { metricsText } from "./metrics.js";
import { listSourceDatabases, type RequestBody, startNewMigration, summarizeNewMigration } from "./new-migration.js";
import { json, methodNotAllowed, metricsReply, notFound, type Reply, type Stream } from "./reply.js";
import { readStatuses } from "./read-statuses.js";
import type { RequestTarget } from "./request-target.js";
import { isChange, requestedChange } from "./requested-change.js";

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

const readOnly = json(403, { error: "this dashboard is read-only" });

type PostRoute = (address: StoreAddress, body: RequestBody) => Promise<unknown>;

/** Requests that precede a migration or create one. Their body contains the password of the source. */
const newMigrationRoutes: ReadonlyMap<string, PostRoute> = new Map<string, PostRoute>([
  ["/api/source-databases", listSourceDatabases],
  ["/api/summary", summarizeNewMigration],
  ["/api/migrations", startNewMigration],
]);

/** The API of one target. Its owner closes the records. */
export class TargetApi implements Api {
  readonly #feed: Feed;

  constructor(
    readonly records: Records,
    readonly settings: PageSettings,
  ) {
    this.#feed = new Feed(records);
  }

  async health(): Promise<boolean> {
    return this.records.readShared("health", [], listMigrations).then(
      () => true,
      () => false,
    );
  }

  async metrics(): Promise<Reply> {
    return metricsReply(metricsText(await this.records.readShared("/metrics", [], readStatuses)));
  }

  async get({ path, query }: RequestTarget, isHead: boolean): Promise<Reply | Stream> {
    const { records, settings } = this;
    if (path === "/api/events") return this.#feed.streams.open(query.get("migration") ?? undefined, isHead);
    if (path === "/api/settings") return json(200, settings);
    if (path === "/api/migrations") return json(200, await records.readShared(path, [], listWithOverviews));
    if (newMigrationRoutes.has(path)) return methodNotAllowed("POST");
    const { name, action } = migrationPath(path);
    if (name === undefined) return notFound;
    if (isChange(action)) return methodNotAllowed("POST");
    const read = getRoutes.get(action);
    if (!read) return notFound;
    const found = await records.readShared<unknown>(path, undefined, (store) => read(store, name));
    if (found === undefined) return noMigration(name);
    return action === "report.html" ? reportReply(found as MigrationReport) : json(200, found);
  }

  async post({ path, query }: RequestTarget, request: IncomingMessage): Promise<Reply> {
    const { records, settings } = this;
    const run = newMigrationRoutes.get(path);
    if (run) return settings.readOnly ? readOnly : json(200, await run(records.address, await readJsonBody(request)));
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
    return isRequested ? json(202, { requested: action }) : noMigration(name);
  }

  close(): Promise<void> {
    return this.#feed.streams.close();
  }
}

const noMigration = (name: string): Reply => json(404, { error: `no migration ${name}` });

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
