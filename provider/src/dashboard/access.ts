import { timingSafeEqual, createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";

export interface AccessOptions {
  readonly token: string;
  readonly port: number;
  /** Names under which browsers reach the page: any other Host is a page that was rebound to our address. */
  readonly hosts: readonly string[];
}

export type Verdict =
  { readonly allowed: true } | { readonly allowed: false; readonly status: number; readonly why: string };

const allowed: Verdict = { allowed: true };
const refuse = (status: number, why: string): Verdict => ({ allowed: false, status, why });

/** Who may do what: every request has to name us as its host, come from our own page, and know the token. */
export class Access {
  readonly #cookieName: string;
  readonly #cookieValue: string;

  constructor(readonly options: AccessOptions) {
    // Browsers keep cookies by host, not by port: two dashboards must not share one.
    this.#cookieName = `pg_migration_${options.port}`;
    this.#cookieValue = encodeURIComponent(options.token);
  }

  /** For what everybody may see: only that it is us who are asked. */
  checkHost({ headers }: IncomingMessage): Verdict {
    if (this.#knows(headers.host)) return allowed;
    return refuse(421, "this name is not ours; start the dashboard with --allowed-host to use it");
  }

  check(request: IncomingMessage): Verdict {
    const host = this.checkHost(request);
    if (!host.allowed) return host;
    const { origin } = request.headers;
    const fetchSite = request.headers["sec-fetch-site"];
    const isForeign =
      (origin !== undefined && !this.#isOwnOrigin(origin)) || fetchSite === "cross-site" || fetchSite === "same-site";
    if (isForeign) return refuse(403, "requests of other pages are not answered");
    const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
    const cookie = cookies(request.headers.cookie).get(this.#cookieName);
    if (!this.isToken(bearer) && !this.#isCookie(cookie))
      return refuse(401, "open the address that pg-migration dashboard has printed: the token stands in it");
    const changes = request.method !== "GET" && request.method !== "HEAD";
    // A browser sends Origin with every POST; what has none and no bearer token is no page of ours.
    if (changes && origin === undefined && !this.isToken(bearer)) return refuse(403, "a change has to name its origin");
    return allowed;
  }

  isToken(given: string | undefined): boolean {
    return given !== undefined && isSame(given, this.options.token);
  }

  /** What `Set-Cookie` says to let a browser in. Scripts cannot read it. */
  get cookie(): string {
    return `${this.#cookieName}=${this.#cookieValue}; HttpOnly; SameSite=Strict; Path=/`;
  }

  #isCookie(given: string | undefined): boolean {
    return given !== undefined && isSame(given, this.#cookieValue);
  }

  #knows(host: string | undefined): boolean {
    const { hosts, port } = this.options;
    return hosts.some((name) => host === `${name}:${port}` || host === name);
  }

  #isOwnOrigin(origin: string): boolean {
    return this.#knows(/^https?:\/\/(.+)$/.exec(origin)?.[1]);
  }
}

/** In a time that does not tell where they begin to differ. */
function isSame(one: string, other: string): boolean {
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
