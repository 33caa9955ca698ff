import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { listenAddress } from "../../../provider/src/cli/options/listen-address";
import { WorkerEndpoints, type WorkerEndpointsOptions } from "../../../provider/src/cli/worker/worker-endpoints";
import { until } from "../../support/until";

type Reading = WorkerEndpointsOptions["readMigrations"];

describe("a worker's HTTP endpoints", () => {
  let reads = 0;
  let read: Reading;
  let stop: AbortController;
  let endpoints: WorkerEndpoints;
  let port: number;

  beforeEach(async () => {
    reads = 0;
    read = () => Promise.resolve([]);
    stop = new AbortController();
    const readMigrations: Reading = () => {
      reads++;
      return read();
    };
    endpoints = await WorkerEndpoints.listen({
      listen: { host: "127.0.0.1", port: 0 },
      allowedHosts: ["metrics.example"],
      readMigrations,
      stop: stop.signal,
    });
    port = endpoints.port;
  });
  afterEach(() => endpoints.close());

  const get = (path: string, method = "GET"): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`, { method });

  /** The status line of the answer to raw bytes; empty if the connection is closed without one. */
  async function statusLine(bytes: string): Promise<string> {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => undefined);
    let answer = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => (answer += chunk));
    await once(socket, "connect");
    const closed = once(socket, "close");
    socket.end(bytes, "latin1");
    await closed;
    return /^HTTP\/1\.1 \d+/.exec(answer)?.[0] ?? "";
  }

  it("answer the three paths, with HEAD as well", async () => {
    assert.equal(await (await get("/healthz")).text(), "ok\n");
    assert.equal(await (await get("/readyz?verbose")).text(), "ready\n");
    const metrics = await get("/metrics");
    assert.match(metrics.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
    assert.match(await metrics.text(), /^# HELP pg_migration_state /m);
    const head = await get("/healthz", "HEAD");
    assert.deepEqual([head.status, await head.text()], [200, ""]);
  });

  it("are not ready while the worker stops", async () => {
    stop.abort();
    const answer = await get("/readyz");
    assert.deepEqual([answer.status, await answer.text()], [503, "not ready: the worker is stopping\n"]);
    assert.equal((await get("/healthz")).status, 200);
  });

  it("show nothing of an error, which may name servers and users", async () => {
    read = () => Promise.reject(new Error("password of azureadmin@db.example"));
    for (const path of ["/readyz", "/metrics"]) {
      const answer = await get(path);
      assert.deepEqual(
        [answer.status, await answer.text()],
        [503, "not ready: the target's records cannot be read. The log has the reason.\n"],
      );
    }
    read = () => Promise.resolve([]);
    assert.equal((await get("/readyz")).status, 200);
  });

  it("share one read of the target among all requests that wait", async () => {
    let finish: (() => void) | undefined;
    read = () => new Promise((resolve) => (finish = () => resolve([])));
    const answers = Promise.all(Array.from({ length: 40 }, (_, i) => get(i % 2 === 0 ? "/readyz" : "/metrics")));
    await until("a read has started", () => finish !== undefined);
    await get("/healthz");
    finish!();
    assert((await answers).every(({ status }) => status === 200));
    assert(reads < 40, `${reads} reads for 40 requests`);
  });

  it("show metrics under no name of another site, and answer probes under every name", async () => {
    const status = (path: string, host: string) =>
      statusLine(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    const own = ["10.0.4.7:8080", "[fd00::7]:8080", "[::1]", "localhost:18080", "crm-worker", "crm.prod.svc:8080"];
    for (const host of [...own, "crm.prod.svc.cluster.local", "metrics.example", `metrics.example:${port}`])
      assert.equal(await status("/metrics", host), "HTTP/1.1 200", host);
    for (const host of ["evil.example", `evil.example:${port}`, "10.0.4.7.evil.example", "1.example", "svc.example"]) {
      assert.equal(await status("/metrics", host), "HTTP/1.1 421", host);
      assert.equal(await status(`http://${host}/metrics`, "localhost"), "HTTP/1.1 421", host);
      for (const probe of ["/healthz", "/readyz"]) assert.equal(await status(probe, host), "HTTP/1.1 200", host);
    }
    assert.equal(await statusLine("GET /metrics HTTP/1.0\r\n\r\n"), "HTTP/1.1 200");
  });

  it("survive every other request", async () => {
    assert.equal((await get("/")).status, 404);
    assert.equal((await get("/metrics/../etc/passwd%00")).status, 404);
    const post = await fetch(`http://127.0.0.1:${port}/metrics`, { method: "POST", body: "x".repeat(1_000_000) });
    assert.deepEqual([post.status, post.headers.get("allow")], [405, "GET, HEAD"]);
    const hostile = [
      "GET //evil.example/metrics HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
      "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
      `GET /${"x".repeat(100_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
      "GET /healthz HTTP/1.1\r\n\r\n",
      "\x00\x01\x02\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "",
    ];
    for (const bytes of hostile) assert.notEqual(await statusLine(bytes), "HTTP/1.1 500", bytes.slice(0, 80));
    assert.equal((await get("/healthz")).status, 200);
  });

  it("answer a probe while other clients keep all connections open", async () => {
    const idle = Array.from({ length: 100 }, () => connect(port, "127.0.0.1").on("error", () => undefined));
    try {
      await Promise.all(idle.map((socket) => once(socket, "connect")));
      for (const socket of idle) socket.write("GET /healthz HT");
      for (let probe = 0; probe < 5; probe++) assert.equal((await get("/healthz")).status, 200);
      await until("connections are closed", () => idle.filter(({ destroyed }) => !destroyed).length <= 64);
    } finally {
      for (const socket of idle) socket.destroy();
    }
  });

  it("listen on loopback unless an address is given", () => {
    assert.deepEqual(listenAddress("8080"), { host: "127.0.0.1", port: 8080 });
    assert.deepEqual(listenAddress("0.0.0.0:8080"), { host: "0.0.0.0", port: 8080 });
    assert.deepEqual(listenAddress("[::]:0"), { host: "::", port: 0 });
    for (const wrong of ["", "x", "65536", "1.2.3:80", ":::80", "[1.2.3.4]:80", "example.com:80", "8080 ", "-1"])
      assert.throws(() => listenAddress(wrong), /expected a port, or an address and a port/, wrong);
  });

  it("name the option when the address is in use", async () => {
    const options = { listen: { host: "127.0.0.1", port }, readMigrations: () => read(), stop: stop.signal };
    await assert.rejects(WorkerEndpoints.listen(options), /--http: 127\.0\.0\.1:\d+: .*EADDRINUSE/);
  });
});
