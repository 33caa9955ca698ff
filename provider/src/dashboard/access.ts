import { timingSafeEqual, createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { isJson } from "./json-body.js";

export interface AccessOptions {
  readonly token: string;
  readonly port: number;
  /** Accepted Host names. Any other Host means that another site's name was rebound to this address. */
  readonly hosts: readonly string[];
  /** The accepted Host names of proxies, whose pages have the proxy's port. */
  readonly proxies: readonly string[];
}

export type AccessDecision =
  { readonly allowed: true } | { readonly allowed: false; readonly status: number; readonly reason: string };

const allowed: AccessDecision = { allowed: true };
const refuse = (status: number, reason: string): AccessDecision => ({ allowed: false, status, reason });

/** Decides who may do what: a request needs an accepted Host, must not come from another site, and needs the token. */
export class Access {
  readonly #cookieName: string;
  readonly #cookieValue: string;

  constructor(readonly options: AccessOptions) {
    // Browsers keep cookies by host, not by port: two dashboards must not share one.
    this.#cookieName = `pg_migration_${options.port}`;
    this.#cookieValue = encodeURIComponent(options.token);
  }

  /** For public content, which needs no token. */
  checkHost(host: string | undefined): AccessDecision {
    const { hosts, proxies, port } = this.options;
    if (isOwnHost(host, [...hosts, ...proxies], port)) return allowed;
    return refuse(421, "unknown Host: to accept it, start the dashboard with --allowed-host");
  }

  /** For everything else, after {@link checkHost}. */
  check({ headers, method }: IncomingMessage): AccessDecision {
    const { origin } = headers;
    const fetchSite = headers["sec-fetch-site"];
    const isForeign =
      (origin !== undefined && !this.#isOwnOrigin(origin)) || fetchSite === "cross-site" || fetchSite === "same-site";
    if (isForeign) return refuse(403, "requests from other sites are refused");
    const bearer = /^Bearer +(.+)$/i.exec(headers.authorization ?? "")?.[1];
    const cookie = cookies(headers.cookie).get(this.#cookieName);
    if (!this.isToken(bearer) && !this.#isCookie(cookie))
      return refuse(401, "open the address that pg-migration dashboard printed: it contains the token");
    const isChange = method !== "GET" && method !== "HEAD";
    // Browsers send Origin with every POST: a request with neither Origin nor token does not come from our page.
    if (isChange && origin === undefined && !this.isToken(bearer))
      return refuse(403, "a POST request needs an Origin header or the token");
    // Browsers let the pages of other sites send this type only with the server's permission, which it never gives.
    if (isChange && !isJson(headers) && !this.isToken(bearer))
      return refuse(403, "a POST request needs the content type application/json or the token");
    return allowed;
  }

  isToken(candidate: string | null | undefined): boolean {
    return typeof candidate === "string" && isEqual(candidate, this.options.token);
  }

  /** The `Set-Cookie` value that signs a browser in. Scripts cannot read it. */
  get cookie(): string {
    return `${this.#cookieName}=${this.#cookieValue}; HttpOnly; SameSite=Strict; Path=/`;
  }

  #isCookie(candidate: string | undefined): boolean {
    return candidate !== undefined && isEqual(candidate, this.#cookieValue);
  }

  /** Another port is another site, but a browser may send it the same cookies. It omits the default port. */
  #isOwnOrigin(origin: string): boolean {
    const { hosts, proxies, port } = this.options;
    const own = [...hosts, ...proxies].map((name) => `http://${name}${port === 80 ? "" : `:${port}`}`);
    const mapped = proxies.filter((name) => /:\d+$/.test(name)).map((name) => `http://${name}`);
    return [...own, ...mapped, ...proxies.map((name) => `https://${name}`)].includes(origin);
  }
}

/** Whether a Host header has one of these names, with this port or without one. */
export const isOwnHost = (host: string | undefined, names: readonly string[], port: number): boolean =>
  names.some((name) => host === `${name}:${port}` || host === name);

/** `name`, `name:port`, `[address]:port` */
const authority = /^(?:\[([^\]]+)\]|([^:]*))(?::\d+)?$/;

/** Names that no other site can own: of the local network, of a cluster, or reserved. */
const localName = /^[^.]+$|\.(?:svc|internal|local|localhost)$/i;

/**
 * Whether no other site can have this Host: an address, as probes and scrapes of a pod send it, or a name of the local network.
 * Only another site's own name can be rebound to this address. Browsers always send a Host.
 */
export function isLocalHost(host: string | undefined): boolean {
  if (host === undefined) return true;
  const [, bracketed, plain = ""] = authority.exec(host) ?? [];
  return isIP(bracketed ?? plain) !== 0 || localName.test(plain);
}

/** Constant time: the duration must not reveal where the texts start to differ. */
function isEqual(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}

function cookies(header = ""): Map<string, string> {
  return new Map(
    header.split(";").map((pair) => {
      const [name = "", ...value] = pair.trim().split("=");
      return [name, value.join("=")];
    }),
  );
}
