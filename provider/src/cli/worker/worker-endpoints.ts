import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { withTimeout } from "../../async/with-timeout.js";
import { isLocalHost, isOwnHost } from "../../dashboard/access.js";
import { type MigrationSample, metricsText } from "../../dashboard/metrics.js";
import { parseRequestTarget } from "../../dashboard/request-target.js";
import { InvalidInputError, messageOf } from "../../errors.js";
import { log } from "../../log.js";
import type { PoolFigures } from "../../worker/pool/worker-pool.js";
import { poolMetricsText } from "./pool-metrics.js";

export interface ListenAddress {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
}

export interface WorkerEndpointsOptions {
  readonly listen: ListenAddress;
  /** Host names that `/metrics` accepts, in addition to addresses and names of the local network. */
  readonly allowedHosts?: readonly string[] | undefined;
  /** The migrations of the worker that are recorded. Fails while the target's records are unreadable. */
  readonly readMigrations: () => Promise<readonly MigrationSample[]>;
  /** Set for a pool, whose readiness does not depend on the records of one target. */
  readonly pool?: PoolView | undefined;
  readonly stop: AbortSignal;
}

/** What the endpoints show of a pool. */
export interface PoolView {
  /** Why the pool cannot serve any migration; undefined if it can. */
  readonly obstacle: string | undefined;
  readonly figures: PoolFigures;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly contentType?: string;
}

/** Shorter than the usual timeout of a scrape, 10 s. The text must not wait for a server that does not answer. */
const readTimeoutMs = 5000;
const maxConnections = 64;

const ready: Answer = { status: 200, text: "ready\n" };
const notFound: Answer = { status: 404, text: "not found: expected /healthz, /readyz or /metrics\n" };
const unknownHost: Answer = {
  status: 421,
  text: "unknown Host: to accept it, start the worker with --allowed-host\n",
};
const unreadable: Answer = {
  status: 503,
  text: "not ready: the target's records cannot be read. The log has the reason.\n",
};

/**
 * Answers an orchestration engine:
 *
 * - `/healthz`: while the process works
 * - `/readyz`: while the target's records are readable; for a pool, its list and at least one target
 * - `/metrics`: in Prometheus' format
 *
 * There is no access control, so no answer contains a secret. The metrics name migrations and databases. Without an accepted
 * Host they are refused, because another site's page could read them under its own name. The others say nothing that is worth
 * that, and a load balancer may send them any Host.
 */
export class WorkerEndpoints {
  readonly #server: Server;
  readonly #options: WorkerEndpointsOptions;
  #reading: ReturnType<WorkerEndpointsOptions["readMigrations"]> | undefined;

  private constructor(options: WorkerEndpointsOptions) {
    this.#options = options;
    this.#server = createServer({ headersTimeout: 10_000, requestTimeout: 10_000, keepAliveTimeout: 5000 });
    const open = new Set<Socket>();
    this.#server.on("connection", (socket) => {
      open.add(socket);
      socket.once("close", () => open.delete(socket));
      if (open.size <= maxConnections) return;
      // Refusing the new one would let idle clients keep the probes of the orchestration engine out.
      const [oldest] = open;
      oldest!.destroy();
    });
    this.#server.on("request", (request, response) => {
      this.#respond(request, response).catch(() => response.destroy());
    });
  }

  /** @throws InvalidInputError if it cannot listen on the address */
  static async listen(options: WorkerEndpointsOptions): Promise<WorkerEndpoints> {
    const { host, port } = options.listen;
    const endpoints = new WorkerEndpoints(options);
    await new Promise<void>((resolve, reject) => {
      endpoints.#server.once("error", (cause) => {
        reject(new InvalidInputError([{ property: "--http", reason: `${host}:${port}: ${messageOf(cause)}` }]));
      });
      endpoints.#server.listen(port, host, resolve);
    });
    log.info(`serving /healthz, /readyz and /metrics on ${host} port ${endpoints.port}`);
    return endpoints;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A body is of no use, and must not fill memory.
    request.resume();
    const { status, text, contentType = "text/plain; charset=utf-8" } = await this.#answer(request);
    response.writeHead(status, {
      "content-type": contentType,
      "content-length": Buffer.byteLength(text),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...(status === 405 && { allow: "GET, HEAD" }),
    });
    response.end(text);
  }

  #answer({ method, url = "", headers }: IncomingMessage): Answer | Promise<Answer> {
    if (method !== "GET" && method !== "HEAD") return { status: 405, text: "allowed methods: GET, HEAD\n" };
    const target = parseRequestTarget(url);
    switch (target?.path) {
      case "/healthz":
        return { status: 200, text: "ok\n" };
      case "/readyz":
        return this.#readiness();
      case "/metrics":
        return this.#accepts(target.host ?? headers.host) ? this.#metrics() : unknownHost;
      default:
        return notFound;
    }
  }

  #accepts(host: string | undefined): boolean {
    return isLocalHost(host) || isOwnHost(host, this.#options.allowedHosts ?? [], this.port);
  }

  async #readiness(): Promise<Answer> {
    const { stop, pool } = this.#options;
    if (stop.aborted) return { status: 503, text: `not ready: the ${pool ? "pool" : "worker"} is stopping\n` };
    if (pool?.obstacle !== undefined)
      return { status: 503, text: `not ready: ${pool.obstacle}. The log has the reason.\n` };
    if (pool) return ready;
    return (await this.#read()) ? ready : unreadable;
  }

  async #metrics(): Promise<Answer> {
    const migrations = await this.#read();
    if (!migrations) return unreadable;
    const { pool } = this.#options;
    const text = metricsText(migrations) + (pool ? poolMetricsText(pool.figures) : "");
    return { status: 200, text, contentType: "text/plain; version=0.0.4; charset=utf-8" };
  }

  /** Concurrent requests share one read, so that clients cannot open any number of sessions on the target. */
  async #read(): Promise<Awaited<ReturnType<WorkerEndpointsOptions["readMigrations"]>> | undefined> {
    this.#reading ??= this.#options.readMigrations().finally(() => (this.#reading = undefined));
    // The worker logs and retries an unreachable target by itself.
    return withTimeout(
      this.#reading.catch(() => undefined),
      readTimeoutMs,
    );
  }
}
