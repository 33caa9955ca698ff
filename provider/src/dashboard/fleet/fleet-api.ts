import type { IncomingMessage } from "node:http";
import { withTimeout } from "../../async/with-timeout.js";
import { fleetRows } from "../../fleet/fleet-rows.js";
import type { Api } from "../api.js";
import type { PageSettings } from "../messages.js";
import { metricsText } from "../metrics.js";
import { json, metricsReply, notFound, type Reply, type Stream } from "../reply.js";
import type { RequestTarget } from "../request-target.js";
import { TargetApi } from "../target-api.js";
import { Fleet, type FleetSource } from "./fleet.js";
import { FleetFeed } from "./fleet-feed.js";

const answerWithinMs = 5000;

/** The API of a list of targets. `/targets/<name>` precedes the paths of the API of one of them. */
export class FleetApi implements Api {
  readonly fleet: Fleet;
  readonly #feed: FleetFeed;
  readonly #apis = new Map<string, TargetApi>();

  constructor(
    source: FleetSource,
    readonly settings: PageSettings,
  ) {
    this.fleet = new Fleet(source, () => this.#closeReplaced());
    this.#feed = new FleetFeed(this.fleet);
  }

  async health(): Promise<boolean> {
    if (!this.#isAnyUp()) await withTimeout(this.fleet.poll(), answerWithinMs);
    return this.#isAnyUp();
  }

  async metrics(): Promise<Reply> {
    const { migrations, targets } = await this.fleet.scrape();
    return metricsReply(metricsText(migrations, targets));
  }

  async get(target: RequestTarget, isHead: boolean): Promise<Reply | Stream> {
    const { path } = target;
    if (path === "/api/events") return this.#feed.streams.open(undefined, isHead);
    if (path === "/api/settings") return json(200, this.settings);
    if (path === "/api/fleet") {
      await withTimeout(this.fleet.poll(), answerWithinMs);
      const { readings, problems, listFailure } = this.fleet;
      return json(200, { problems, listFailure, rows: fleetRows(readings) });
    }
    const member = this.#memberOf(target);
    return member ? member.api.get(member.target, isHead) : notFound;
  }

  async post(target: RequestTarget, request: IncomingMessage): Promise<Reply> {
    const member = this.#memberOf(target);
    return member ? member.api.post(member.target, request) : notFound;
  }

  async close(): Promise<void> {
    await Promise.all([this.#feed.streams, ...this.#apis.values()].map((one) => one.close()));
  }

  #isAnyUp(): boolean {
    return this.fleet.readings.some(({ readAt, failure }) => readAt !== undefined && failure === undefined);
  }

  #memberOf(target: RequestTarget): { readonly api: TargetApi; readonly target: RequestTarget } | undefined {
    const [, encoded, path] = /^\/targets\/([^/]+)(\/.+)$/.exec(target.path) ?? [];
    const name = encoded === undefined ? undefined : decoded(encoded);
    const api = name === undefined ? undefined : this.#apiOf(name);
    return api && path !== undefined ? { api, target: { ...target, path } } : undefined;
  }

  /** The API of one target. It shares the session that reads the target for the list. */
  #apiOf(name: string): TargetApi | undefined {
    const known = this.#apis.get(name);
    if (known) return known;
    const records = this.fleet.recordsOf(name);
    if (!records) return undefined;
    const { host, port } = records.address.target;
    const api = new TargetApi(records, { ...this.settings, target: `${host}:${port}`, isFleet: false });
    this.#apis.set(name, api);
    return api;
  }

  /** A page of a target that is no longer in the list reconnects, and gets the answer that it is gone. */
  #closeReplaced(): void {
    for (const [name, api] of this.#apis) {
      if (this.fleet.recordsOf(name) === api.records) continue;
      this.#apis.delete(name);
      void api.close();
    }
  }
}

/** Undefined if a percent sign encodes nothing. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
