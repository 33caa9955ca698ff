import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

const commandPath = join(__dirname, "../../provider/bin/pg-migration.js");
const token = "a token for the tests";
const head = (path: string, method = "GET"): string =>
  `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n`;

/** The dashboard as a process of its own, so that a crash is seen as its exit. */
describe("a dashboard with hostile clients", () => {
  let lab: Lab;
  let dashboard: ChildProcess;
  let port: number;
  let migration: Resource;

  before(async () => {
    lab = await Lab.start();
    migration = new Resource();
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    await migration.create(lab.inputs([database], { migrationName: "hostile", migrationOption: "Validate" }));
  });

  after(async () => {
    await migration.destroy();
    await lab.stop();
  });

  beforeEach(async () => {
    const { host, port: targetPort, user, password } = lab.administrator;
    dashboard = spawn(process.execPath, [commandPath, "dashboard", "--listen-port", "0"], {
      env: {
        ...process.env,
        PGHOST: host,
        PGPORT: String(targetPort),
        PGUSER: user,
        PGPASSWORD: password,
        PG_MIGRATION_DASHBOARD_TOKEN: token,
        PG_MIGRATION_ALLOWED_HOSTS: "migrations.example, mapped.example:9000",
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [address] = (await once(dashboard.stdout!, "data")) as [Buffer];
    port = Number(new URL(address.toString().trim()).port);
  });

  afterEach(async () => {
    if (dashboard.exitCode !== null) return;
    dashboard.kill("SIGTERM");
    await once(dashboard, "exit");
  });

  async function open(): Promise<Socket> {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => undefined);
    await once(socket, "connect");
    return socket;
  }

  /** The status of the first answer; 0 for a connection that is closed without one. */
  async function statusOf(request: string): Promise<number> {
    const socket = await open();
    let answer = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      answer += chunk;
      // A stream of events does not end by itself.
      if (answer.includes("text/event-stream")) socket.destroy();
    });
    const closed = once(socket, "close");
    socket.write(request, "latin1");
    await closed;
    return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0);
  }

  /** Sends bytes that may be less than a request, and waits until the dashboard closes the connection. */
  async function send(bytes: string): Promise<void> {
    const socket = await open();
    socket.resume();
    const closed = once(socket, "close");
    socket.end(bytes, "latin1");
    await closed;
  }

  async function assertAlive(): Promise<void> {
    assert.equal(dashboard.exitCode, null, "the dashboard has ended");
    assert.equal(await statusOf("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), 200);
  }

  it("accepts the Hosts in its environment, and no others", async () => {
    const statusFor = (host: string): Promise<number> =>
      statusOf(`GET /healthz HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    for (const host of ["migrations.example", "mapped.example:9000"]) assert.equal(await statusFor(host), 200, host);
    for (const host of ["mapped.example", "evil.example"]) assert.equal(await statusFor(host), 421, host);
  });

  const fragment = fc.constantFrom(
    ...[
      "/",
      "//",
      "\\",
      ":",
      "@",
      "?",
      "#",
      "%",
      "%00",
      "%2e",
      "..",
      "[",
      "]",
      "[::1]",
      "http:",
      "*",
      "&",
      "=",
      "é",
      "\t",
    ],
    ...["api", "migrations", "hostile", "events", "tables", "cutover", "cancel", "constructor", "__proto__", "token"],
    ...["healthz", "metrics", "session", "settings", "99999", "migration", "main.js", "localhost"],
  );
  const target = fc.array(fragment, { minLength: 1, maxLength: 8 }).map((parts) => parts.join(""));
  const token68 = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/);
  const name = fc.oneof(
    token68,
    fc.constantFrom(
      "Host",
      "Origin",
      "Cookie",
      "Authorization",
      "Sec-Fetch-Site",
      "Content-Length",
      "Transfer-Encoding",
    ),
    fc.constantFrom("Connection", "Upgrade", "Expect", "Range", "If-None-Match", "__proto__", "constructor"),
  );
  const value = fc.oneof(
    fc.stringMatching(/^[ -~\xa0-\xff]{0,60}$/),
    fc.constantFrom(
      "chunked",
      "upgrade",
      "websocket",
      "100-continue",
      "null",
      "-1",
      "99999999999999",
      ";;=;",
      "Bearer ",
    ),
  );
  const method = fc.oneof(
    fc.constantFrom("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "PROPFIND"),
    token68,
  );

  it("survives every request target, with and without the token", async () => {
    const authorized = fc.boolean();
    await fc.assert(
      fc.asyncProperty(target, authorized, method, async (path, hasToken, verb) => {
        const authorization = hasToken ? `Authorization: Bearer ${token}\r\n` : "";
        const status = await statusOf(
          `${verb} ${path} HTTP/1.1\r\nHost: localhost\r\n${authorization}Connection: close\r\n\r\n`,
        );
        assert(status < 500, `${path}: ${status}`);
      }),
      { numRuns: 300 },
    );
    await assertAlive();
  });

  it("survives every header, body and sequence of bytes", async () => {
    const headers = fc.array(fc.tuple(name, value), { maxLength: 6 });
    const request = fc
      .tuple(method, target, headers, fc.string())
      .map(
        ([verb, path, fields, body]) =>
          `${verb} ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n` +
          `${fields.map(([key, content]) => `${key}: ${content}\r\n`).join("")}\r\n${body}`,
      );
    const bytes = fc.uint8Array({ maxLength: 300 }).map((content) => Buffer.from(content).toString("latin1"));
    await fc.assert(fc.asyncProperty(fc.oneof(request, bytes), send), { numRuns: 300 });
    await assertAlive();
  });

  it("survives clients that leave at any moment", async () => {
    const path = fc.constantFrom(
      "/",
      "/api/events?migration=hostile",
      "/api/migrations/hostile/tables",
      "/metrics",
      "/healthz",
    );
    await fc.assert(
      fc.asyncProperty(path, fc.nat(), fc.boolean(), async (where, cut, waits) => {
        const request = `${head(where)}\r\n`;
        const socket = await open();
        socket.write(request.slice(0, waits ? request.length : cut % (request.length + 1)));
        if (waits) await once(socket, "data");
        socket.resetAndDestroy();
      }),
      { numRuns: 200 },
    );
    await assertAlive();
  });

  it("answers others while slow clients send one byte at a time", async () => {
    const slow = await Promise.all(Array.from({ length: 200 }, () => open()));
    for (const [i, socket] of slow.entries()) socket.write(head("/api/migrations").slice(0, 1 + (i % 40)));
    await assertAlive();
    for (const socket of slow) socket.destroy();
  });

  it("keeps its memory bounded while clients do not read", async function () {
    if (process.platform !== "linux") return this.skip();
    await lab.target.query(
      `INSERT INTO pgmigration.copy_task (migration, database, id, kind, table_schema, table_name, entry, state, rows_estimated)
       SELECT migration, name, i, 'table', 'public', 'table_' || i, 'x', 'queued', i
         FROM pgmigration.database, generate_series(1, 5000) i WHERE migration = 'hostile'`,
    );
    const reader = await open();
    let received = "";
    reader.setEncoding("utf8").on("data", (chunk: string) => (received = (received + chunk).slice(-2_000_000)));
    const subscribe = `${head("/api/events?migration=hostile")}\r\n`;
    reader.write(subscribe);
    await until("the first snapshot has come", () => received.includes("table_5000"));
    const before = await memoryBytes();
    const idle = await Promise.all(Array.from({ length: 150 }, () => open()));
    for (const socket of idle) {
      socket.pause();
      socket.write(subscribe);
    }
    for (let round = 1; round <= 8; round++) {
      received = "";
      await lab.target.query("UPDATE pgmigration.copy_task SET rows_copied = $1 WHERE migration = 'hostile'", {
        values: [round],
      });
      await until("the change has come", () => received.includes(`"rowsCopied":${round},`));
    }
    const growth = (await memoryBytes()) - before;
    for (const socket of [reader, ...idle]) socket.destroy();
    assert(growth < 150 * 2 ** 20, `150 clients took ${Math.round(growth / 2 ** 20)} MB`);
    await assertAlive();
    return undefined;
  });

  async function memoryBytes(): Promise<number> {
    const status = await readFile(`/proc/${dashboard.pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)![1]) * 1024;
  }
});
