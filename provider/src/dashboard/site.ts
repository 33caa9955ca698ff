import type { IncomingMessage, ServerResponse } from "node:http";
import type { Access } from "./access.js";
import type { Api } from "./api.js";
import type { Asset } from "./assets.js";
import { openApi } from "./openapi.js";
import { failureReply, json, methodNotAllowed, type Reply, type Stream } from "./reply.js";
import { parseRequestTarget, type RequestTarget } from "./request-target.js";

export interface SiteOptions {
  readonly access: Access;
  readonly api: Api;
  /** The files of the page, which are public. */
  readonly assets: ReadonlyMap<string, Asset>;
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
      ? await this.#reply(request, target).catch(failureReply)
      : json(400, { error: "invalid request target" });
    if (typeof reply === "function") {
      reply(response);
      return;
    }
    const { status, headers, content } = reply;
    response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(content) }).end(content);
  }

  async #reply(request: IncomingMessage, target: RequestTarget): Promise<Reply | Stream> {
    const { access, api, assets } = this.options;
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
    if (isRead) return this.#get(target, request.method === "HEAD");
    if (request.method !== "POST") return methodNotAllowed("GET, HEAD, POST");
    if (path === "/api/session") return json(200, { status: "signed in" }, { "set-cookie": access.cookie });
    return api.post(target, request);
  }

  /** Keeps the token in a cookie, and removes it from the address. */
  #signIn(location: string): Reply {
    return { status: 303, headers: { location, "set-cookie": this.options.access.cookie }, content: "" };
  }

  async #health(): Promise<Reply> {
    // The reason is shown only to clients with the token.
    if (await this.options.api.health()) return json(200, { status: "ok" });
    return json(503, { status: "the target's records cannot be read" });
  }

  async #get(target: RequestTarget, isHead: boolean): Promise<Reply | Stream> {
    const { path } = target;
    if (path === "/api/session") return methodNotAllowed("POST");
    if (path === "/api" || path === "/api/openapi.json") return json(200, openApi(this.options.api.settings.isFleet));
    if (path === "/metrics") return this.options.api.metrics();
    return this.options.api.get(target, isHead);
  }
}

const assetReply = ({ type, content }: Asset): Reply => ({
  status: 200,
  headers: { "content-type": type, "cache-control": "no-cache" },
  content,
});
