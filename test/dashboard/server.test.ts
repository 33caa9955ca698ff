import assert from "node:assert/strict";
import { request } from "node:http";
import { startDashboard, type Dashboard } from "../../provider/dist/dashboard/server.js";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

const token = "a token that nobody guesses";

describe("the dashboard's server", () => {
  let lab: Lab;
  let dashboard: Dashboard;
  let port: number;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  beforeEach(async () => {
    dashboard = await startDashboard({
      target: { ...lab.administrator, sslMode: "Prefer" },
      maintenanceDatabase: "postgres",
      address: "127.0.0.1",
      port: 0,
      token,
      allowedHosts: ["migrations.example"],
      readOnly: false,
    });
    port = Number(new URL(dashboard.url).port);
  });

  afterEach(() => dashboard.close());

  /** Not `fetch`, which lets nobody set Host and Origin. */
  function ask(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: "127.0.0.1", port, path, method, headers }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, text }));
      });
      asked.once("error", reject).end();
    });
  }

  const bearer = { authorization: `Bearer ${token}` };

  const status = async (path: string, headers: Record<string, string> = {}, method = "GET"): Promise<number> =>
    (await ask(path, headers, method)).status;

  it("answers nobody without the token, and no other name than its own", async () => {
    for (const path of ["/", "/main.js", "/api", "/api/migrations", "/api/events", "/metrics"])
      assert.equal(await status(path), 401, path);
    assert.equal(await status("/api/migrations", { authorization: "Bearer guessed" }), 401);
    assert.equal(await status("/?token=guessed"), 401);
    assert.equal(await status("/api/migrations", bearer), 200);
    assert.equal(await status("/api/migrations", { ...bearer, host: "evil.example" }), 421);
    assert.equal(await status("/healthz", { host: `evil.example:${port}` }), 421);
    assert.equal(await status("/api/migrations", { ...bearer, host: "migrations.example" }), 200);
  });

  it("lets a browser in by a cookie that scripts and other sites do not get", async () => {
    const entered = await ask(new URL(dashboard.url).pathname + new URL(dashboard.url).search);
    assert.equal(entered.status, 303);
    assert.equal(entered.headers.location, "/");
    const [setCookie] = entered.headers["set-cookie"] as string[];
    assert.match(setCookie!, /; HttpOnly; SameSite=Strict; Path=\/$/);
    const cookie = setCookie!.split(";")[0]!;
    const page = await ask("/", { cookie });
    assert.equal(page.status, 200);
    assert.match(
      String(page.headers["content-security-policy"]),
      /default-src 'none'; script-src 'self'; style-src 'self'/,
    );
    assert.doesNotMatch(page.text, /<script(?![^>]*\bsrc=)|<style|\son\w+=/i, "nothing inline");
    const path = "/api/migrations/none/cancel";
    const own = `http://127.0.0.1:${port}`;
    assert.equal(await status(path, { cookie }, "POST"), 403, "without an origin");
    assert.equal(await status(path, { cookie, origin: "http://evil.example" }, "POST"), 403);
    assert.equal(await status(path, { cookie, origin: own, "sec-fetch-site": "cross-site" }, "POST"), 403);
    assert.equal(await status(path, { cookie, origin: own }, "POST"), 404, "our own page may ask");
    assert.equal(await status("/api/migrations", { cookie, origin: "http://evil.example" }), 403);
    assert.equal(await status("/../server.js", { cookie }), 404);
    assert.equal(await status("/", bearer, "DELETE"), 405);
  });

  it("tells of a migration by API, metrics and events, and never a secret", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)");
    const resource = new Resource();
    await resource.create(lab.inputs([database]));
    const name = resource.inputs.migrationName as string;
    const paths = ["", "/tables", "/events", "/history"].map((path) => `/api/migrations/${name}${path}`);
    const answers = await Promise.all([...paths, "/api/migrations", "/metrics"].map((path) => ask(path, bearer)));
    for (const answer of answers) assert.equal(answer.status, 200);
    const [shown, tables, events, history, list, metrics] = answers.map(({ text }) => text);
    assert.match(shown!, /"state":"Succeeded"/);
    assert.match(tables!, /"table":"t","state":"completed"/);
    assert.match(events!, /all equal/);
    const samples = JSON.parse(history!) as { atMs: number; bytesCopied: number }[];
    assert(samples.at(-1)!.bytesCopied > 0, history);
    assert(samples.every(({ atMs }) => atMs < Date.now()));
    const late = await untilEvent(`/api/events?migration=${name}`, "history");
    assert.equal(late.all, true);
    assert.deepEqual(
      (late.samples as { at: number }[]).map(({ at }) => at),
      samples.map(({ atMs }) => atMs),
      "a page that comes late is shown how it went",
    );
    assert.match(list!, new RegExp(`"name":"${name}"`));
    const labels = `{migration="${name}",database="${database}"}`;
    assert(metrics!.includes(`pg_migration_rows_copied${labels} 2\n`), metrics);
    assert(metrics!.includes(`pg_migration_state{migration="${name}",state="Succeeded"} 1\n`), metrics);
    const secrets = [token, lab.administrator.password, lab.source.login.password];
    for (const { text } of answers) assert(!secrets.some((secret) => text.includes(secret)));

    const refused = await ask(`/api/migrations/${name}/cutover`, bearer, "POST");
    assert.equal(refused.status, 409);
    assert.match(refused.text, /603113/);
    assert.equal(await status("/api/migrations/none", bearer), 404);
    const api = JSON.parse((await ask("/api", bearer)).text) as { openapi: string; paths: Record<string, unknown> };
    assert.equal(api.openapi, "3.1.0");
    for (const path of Object.keys(api.paths).filter((path) => !path.includes("{") && path !== "/api/events"))
      assert.equal(await status(path, bearer), 200, path);
    await resource.destroy();
  });

  it("feeds 200 pages from one look a second", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationOption: "Validate" }));
    const path = `/api/events?migration=${resource.inputs.migrationName as string}`;
    const stops = await Promise.all(Array.from({ length: 200 }, () => openStream(path)));
    const statements = async (): Promise<number> => {
      const [row] = await lab.target.query<{ sessions: string }>(
        "SELECT count(*) AS sessions FROM pg_stat_activity WHERE application_name = 'pg-migration dashboard'",
      );
      return Number(row!.sessions);
    };
    assert.equal(await statements(), 1, "all pages share one session");
    for (const stop of stops) stop();
    await resource.destroy();
  });

  /** The first message of that name on a stream. */
  function untilEvent(path: string, name: string): Promise<Record<string, unknown>> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: "127.0.0.1", port, path, headers: bearer }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
          const data = new RegExp(`^event: ${name}\\ndata: (.*)\\n\\n`, "m").exec(text)?.[1];
          if (data === undefined) return;
          resolve(JSON.parse(data) as Record<string, unknown>);
          asked.destroy();
        });
        response.on("error", () => undefined);
      });
      asked.once("error", reject).end();
    });
  }

  /** Answers once the first message has come. */
  function openStream(path: string): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: "127.0.0.1", port, path, headers: bearer }, (response) => {
        response.setEncoding("utf8").once("data", (text: string) => {
          assert.match(text, /^event: migrations\ndata: \[/);
          resolve(() => asked.destroy());
        });
        response.on("error", () => undefined);
      });
      asked.once("error", reject).end();
    });
  }

  it("says that it is well only while the target's records can be read", async () => {
    assert.equal(await status("/healthz"), 200);
    const [row] = await lab.target.query<{ pid: number }>(
      "SELECT pid FROM pg_stat_activity WHERE application_name = 'pg-migration dashboard' UNION ALL SELECT 0 LIMIT 1",
    );
    await lab.target.query(`SELECT pg_terminate_backend(${row!.pid})`);
    await lab.target.halt();
    try {
      assert.equal(await status("/healthz"), 503);
      assert.equal(await status("/api/migrations", bearer), 503);
    } finally {
      await lab.target.resume();
    }
    assert.equal(await status("/api/migrations", bearer), 200, "it comes back by itself");
  });
});
