import assert from "node:assert/strict";
import { request } from "node:http";
import {
  eventsSchema,
  historySchema,
  migrationListSchema,
  migrationSchema,
  sourceDatabasesSchema,
  summarySchema,
  tablesSchema,
} from "../../provider/dist/dashboard/answer-schemas.js";
import { startDashboard, type Dashboard } from "../../provider/dist/dashboard/server.js";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { strictlyParsed } from "../support/report";
import { Resource } from "../support/resource";
import { until } from "../support/until";

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

const token = "a token for the tests";

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
      allowedHosts: ["migrations.example", "mapped.example:9000"],
      readOnly: false,
    });
    port = Number(new URL(dashboard.url).port);
  });

  afterEach(() => dashboard.close());

  /** `fetch` does not allow setting Host and Origin. */
  function ask(path: string, headers: Record<string, string> = {}, method = "GET", body = ""): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: "127.0.0.1", port, path, method, headers }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, text }));
      });
      asked.once("error", reject).end(body);
    });
  }

  const bearer = { authorization: `Bearer ${token}` };

  const status = async (path: string, headers: Record<string, string> = {}, method = "GET"): Promise<number> =>
    (await ask(path, headers, method)).status;

  it("serves only its page without the token, and refuses unknown Hosts", async () => {
    for (const path of ["/api", "/api/migrations", "/api/events", "/api/settings", "/metrics"])
      assert.equal(await status(path), 401, path);
    for (const path of ["/", "/main.js"]) assert.equal(await status(path), 200, path);
    assert.equal(await status("/main.js", { host: "evil.example" }), 421);
    assert.equal(await status("/api/migrations", { authorization: "Bearer guessed" }), 401);
    assert.equal((await ask("/?token=guessed")).headers["set-cookie"], undefined);
    assert.equal(await status("/api/migrations", bearer), 200);
    assert.equal(await status("/api/migrations", { ...bearer, host: "evil.example" }), 421);
    assert.equal(await status("/healthz", { host: `evil.example:${port}` }), 421);
    assert.equal(await status("/api/migrations", { ...bearer, host: "migrations.example" }), 200);
  });

  it("signs a browser in with a cookie that scripts and other sites cannot read", async () => {
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
    const json = { "content-type": "application/json" };
    assert.equal(await status(path, { cookie, origin: own, ...json }, "POST"), 404, "its own page may send requests");
    assert.equal(await status(path, { cookie, origin: own }, "POST"), 403, "a form needs no permission of the server");
    for (const origin of [
      "http://127.0.0.1",
      "https://127.0.0.1",
      `http://127.0.0.1:${port + 1}`,
      "http://migrations.example",
    ])
      assert.equal(await status(path, { cookie, origin, ...json }, "POST"), 403, `another port: ${origin}`);
    for (const origin of [
      "http://mapped.example:9000",
      `http://localhost:${port}`,
      "https://migrations.example",
      `http://migrations.example:${port}`,
    ])
      assert.equal(await status(path, { cookie, origin, ...json }, "POST"), 404, origin);
    assert.equal(await status("/api/migrations", { cookie, origin: "http://evil.example" }), 403);
    assert.equal(await status("/../server.js", { cookie }), 404);
    assert.equal(await status("/", bearer, "DELETE"), 405);
  });

  it("changes a migration as the resource does, one database at a time", async () => {
    const sql = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)";
    const names = [await lab.database(sql), await lab.database(sql)] as const;
    const resource = new Resource();
    await resource.create(
      lab.inputs([], { migrationMode: "Online", waitForConfirmation: true, startDataMigration: false }),
    );
    const post = async (action: string): Promise<unknown> => {
      const { status: code, text } = await ask(
        `/api/migrations/${String(resource.inputs.migrationName)}/${action}`,
        bearer,
        "POST",
      );
      return code === 202 ? code : [code, text];
    };
    const waits = (subState: string): Promise<void> =>
      until(
        `it is in ${subState}`,
        async () => (await resource.refresh()).currentSubStateDetails.currentSubState === subState,
      );
    const stateOf = (name: string): string => resource.status.currentSubStateDetails.dbDetails[name]!.migrationState;
    try {
      assert.deepEqual(await post("window?start=soon"), [
        400,
        '{"error":"migrationWindowStartTimeInUtc: give a time in UTC, such as 2030-01-31T22:00:00Z"}',
      ]);
      assert.deepEqual(await post("databases"), [400, '{"error":"database: missing: name a database"}']);
      assert.match(String(await post("databases?database=app_*")), /app_\*: expected names/);
      const misspelled = '{"error":"databases: unknown parameter: expected database"}';
      assert.deepEqual(await post(`cancel?databases=${names[0]}`), [400, misspelled]);
      assert.equal(await post(`databases?database=${names[0]}&database=${names[1]}`), 202);
      await waits("WaitingForDataMigrationScheduling");
      assert.equal(await post("start"), 202);
      await waits("WaitingForCutoverTrigger");
      // The program names no databases, and leaves those of the dashboard alone.
      await resource.update({ startDataMigration: true });
      assert.equal(await post("verify"), 202);
      await until("both are compared", async () =>
        Object.values((await resource.refresh()).currentSubStateDetails.dbDetails).every(
          ({ verification }) => verification?.state === "equal",
        ),
      );
      assert.equal(await post("rollback-keep"), 202);
      assert.equal(await post(`cancel?database=${names[1]}`), 202);
      await until("one database is canceled", async () => (await resource.refresh(), stateOf(names[1]) === "Canceled"));
      assert.equal(stateOf(names[0]), "WaitingForCutoverTrigger");
      assert.equal(await post(`cutover?database=${names[0]}`), 202);
      await waits("WaitingForRollbackDecision");
      assert.equal(await post("rollback-drop"), 202);
      await until("it has succeeded", async () => (await resource.refresh()).state === "Succeeded");
    } finally {
      await resource.destroy();
    }
  });

  it("signs a browser in with the token alone", async () => {
    const refused = await ask("/api/session", { authorization: "Bearer guessed" }, "POST");
    assert.deepEqual([refused.status, refused.headers["www-authenticate"]], [401, "Bearer"]);
    const accepted = await ask("/api/session", bearer, "POST");
    assert.equal(accepted.status, 200);
    const [setCookie] = accepted.headers["set-cookie"] as string[];
    assert.equal(await status("/api/migrations", { cookie: setCookie!.split(";")[0]! }), 200);
  });

  it("follows HTTP: schemes of any case, HEAD, Allow and targets in absolute form", async () => {
    assert.equal(await status("/api/migrations", { authorization: `bearer ${token}` }), 200);
    const head = await ask("/api/migrations", bearer, "HEAD");
    assert.deepEqual([head.status, head.text], [200, ""]);
    assert.equal((await ask("/api/events", bearer, "HEAD")).status, 200);
    const allow = async (path: string, method: string): Promise<unknown> => {
      const { status: code, headers } = await ask(path, bearer, method);
      return [code, headers.allow];
    };
    assert.deepEqual(await allow("/api/migrations/x/cutover", "GET"), [405, "POST"]);
    assert.deepEqual(await allow("/api/migrations/x/tables", "POST"), [405, "GET, HEAD"]);
    assert.deepEqual(await allow("/healthz", "POST"), [405, "GET, HEAD"]);
    assert.deepEqual(await allow("/api", "DELETE"), [405, "GET, HEAD, POST"]);
    assert.equal(await status(`http://127.0.0.1:${port}/api/migrations`, bearer), 200);
    assert.equal(await status("http://evil.example/api/migrations", bearer), 421);
  });

  it("answers 400 to invalid request targets, and continues", async () => {
    for (const target of ["//", "///", "/\\", "//[", "//x:y", "//a:99999", "http://[", "*"])
      assert.equal(await status(target, { host: "evil.example" }), 400, target);
    assert.equal(await status("/healthz"), 200);
  });

  it("reaches no property of an object by a name from a request", async () => {
    for (const name of ["constructor", "__proto__", "toString", "valueOf"]) {
      assert.equal(await status(`/api/migrations/x/${name}`, bearer), 404, name);
      assert.equal(await status(`/api/migrations/x/${name}`, bearer, "POST"), 404, name);
      assert.equal(await status(`/${name}`, bearer), 404, name);
    }
  });

  it("reports a migration by API, metrics and events, without secrets", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)");
    const resource = new Resource();
    await resource.create(lab.inputs([database]));
    const name = resource.inputs.migrationName as string;
    const paths = ["", "/tables", "/events", "/history", "/report", "/report.html"].map(
      (path) => `/api/migrations/${name}${path}`,
    );
    const answers = await Promise.all([...paths, "/api/migrations", "/metrics"].map((path) => ask(path, bearer)));
    for (const answer of answers) assert.equal(answer.status, 200);
    const [shown, tables, events, history, report, reportFile, list, metrics] = answers.map(({ text }) => text);
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
      "a page that opens later receives the history",
    );
    assert.equal(strictlyParsed(report!).migration.name, name);
    assert.match(reportFile!, new RegExp(`<title>Migration ${name}: report</title>`));
    assert.match(list!, new RegExp(`"name":"${name}"`));
    const labels = `{migration="${name}",database="${database}"}`;
    assert(metrics!.includes(`pg_migration_rows_copied${labels} 2\n`), metrics);
    assert(metrics!.includes(`pg_migration_state{migration="${name}",state="Succeeded"} 1\n`), metrics);
    const secrets = [token, lab.administrator.password, lab.source.login.password];
    for (const { text } of answers) assert(!secrets.some((secret) => text.includes(secret)));

    const refused = await ask(`/api/migrations/${name}/cutover`, bearer, "POST");
    assert.equal(refused.status, 409);
    assert.match(refused.text, /603113/);
    for (const path of ["/api/migrations/none", "/api/migrations/none/report", "/api/migrations/none/report.html"])
      assert.equal(await status(path, bearer), 404, path);
    for (const path of ["report", "report.html"]) {
      assert.equal(await status(`/api/migrations/${name}/${path}`), 401, path);
      assert.equal(await status(`/api/migrations/${name}/${path}`, bearer, "POST"), 405, path);
    }
    for (const [path, schema] of [
      ["", migrationSchema],
      ["/tables", tablesSchema],
      ["/events", eventsSchema],
      ["/history", historySchema],
    ] as const)
      schema.parse(JSON.parse((await ask(`/api/migrations/${name}${path}`, bearer)).text));
    migrationListSchema.parse(JSON.parse(list!));
    const api = JSON.parse((await ask("/api", bearer)).text) as { openapi: string; paths: Record<string, object> };
    assert.equal(api.openapi, "3.1.0");
    const readable = Object.entries(api.paths).filter(
      ([path, operations]) => !path.includes("{") && "get" in operations,
    );
    for (const path of readable.map(([path]) => path).filter((path) => path !== "/api/events"))
      assert.equal(await status(path, bearer), 200, path);
    await resource.destroy();
  });

  it("lists the databases of a source, summarizes a migration and starts it", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)");
    const source = { ...lab.source.login };
    const post = async (path: string, body: unknown): Promise<Answer> =>
      ask(path, { ...bearer, "content-type": "application/json" }, "POST", JSON.stringify(body));
    const listed = await post("/api/source-databases", { source });
    assert.equal(listed.status, 200, listed.text);
    const shown = sourceDatabasesSchema.parse(JSON.parse(listed.text)).find(({ name }) => name === database);
    assert.deepEqual([shown?.tables, shown?.blockers, shown?.unreadable], [1, [], null]);

    await lab.target.query(`CREATE DATABASE ${database} OWNER ${lab.administrator.user}`);
    const resource = new Resource();
    const { migrationName } = lab.inputs([database]);
    const inputs = { migrationName, source, dbsToMigrate: [database], overwriteDbsInTarget: true };
    const summary = summarySchema.parse(JSON.parse((await post("/api/summary", inputs)).text));
    assert.deepEqual([summary.source.port, summary.target.port], [lab.source.port, lab.target.port]);
    assert.deepEqual(
      summary.databases.map(({ name, existsOnTarget }) => [name, existsOnTarget]),
      [[database, true]],
    );
    assert(summary.findings.length > 0 && summary.findings.every(({ state }) => state !== "Failed"));
    assert.deepEqual(JSON.parse((await ask("/api/migrations", bearer)).text), [], "nothing is recorded");

    const started = await post("/api/migrations", inputs);
    assert.deepEqual(JSON.parse(started.text), { name: migrationName, workerFailure: null }, started.text);
    const state = async (): Promise<unknown> =>
      migrationSchema.parse(JSON.parse((await ask(`/api/migrations/${String(migrationName)}`, bearer)).text))
        .currentStatus.state;
    await until("the migration has succeeded", async () => (await state()) === "Succeeded");
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    const again = await post("/api/migrations", inputs);
    assert.equal(again.status, 409);
    assert.match(again.text, /is already recorded: Succeeded/);
    const everything = [listed, started, again].map(({ text }) => text).join();
    assert(!everything.includes(source.password) && !everything.includes(lab.administrator.password));
    await resource.create(
      lab.inputs([database], { migrationName, overwriteDbsInTarget: true, onExistingRecord: "adopt" }),
    );
    await resource.destroy();
  });

  it("refuses a new migration with inputs that concern its own machine, and other bodies", async () => {
    const answer = async (
      body: string,
      headers: Record<string, string> = {},
      path = "/api/migrations",
    ): Promise<string> => {
      const { status, text } = await ask(
        path,
        { ...bearer, "content-type": "application/json", ...headers },
        "POST",
        body,
      );
      return `${status} ${text}`;
    };
    const source = { ...lab.source.login };
    const body = (changes: object): string =>
      JSON.stringify({ migrationName: "page", source, dbsToMigrate: ["crm"], ...changes });
    for (const [name, value] of Object.entries({ report: "/tmp/r.html", target: source, runner: "external" }))
      assert.match(await answer(body({ [name]: value })), new RegExp(`^400 .*${name}.*does not accept this input`));
    assert.match(await answer(body({ source: { ...source, auth: { kind: "entra" } } })), /^400 .*source\.auth/);
    assert.match(await answer(body({ source: { ...source, sslRootCert: "/etc/passwd" } })), /^400 .*PEM text/);
    assert.match(await answer(body({ migrationMode: "Sometimes" })), /^400 .*migrationMode/);
    assert.match(
      await answer(body({ source: { ...source, port: "5x" } }), {}, "/api/source-databases"),
      /^400 .*source\.port/,
    );
    assert.match(await answer(`{"password": "hunter2`), /^400 .*invalid JSON/);
    assert.doesNotMatch(await answer(`{"password": "hunter2`), /hunter2/);
    assert.match(await answer("[]"), /^400 .*JSON object/);
    assert.match(await answer(body({}), { "content-type": "text/plain" }), /^400 .*application\/json/);
    assert.match(await answer(JSON.stringify({ tags: { a: "x".repeat(70_000) } })), /^400 .*larger than 65536 bytes/);
    assert.match(await answer(body({ source: { ...source, password: "wrong" } }), {}, "/api/summary"), /^409 /);
    assert.deepEqual(JSON.parse((await ask("/api/migrations", bearer)).text), []);
  });

  it("serves 200 pages from one session on the target", async () => {
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

  /** Resolves once the first message has arrived. */
  function openStream(path: string): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: "127.0.0.1", port, path, headers: bearer }, (response) => {
        response.setEncoding("utf8").once("data", (text: string) => {
          assert.match(text, /^event: trouble\ndata: ""\n\nevent: migrations\ndata: \[/);
          resolve(() => asked.destroy());
        });
        response.on("error", () => undefined);
      });
      asked.once("error", reject).end();
    });
  }

  it("reports health only while the target can be read, and recovers", async () => {
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
    assert.equal(await status("/api/migrations", bearer), 200, "it reconnects by itself");
  });
});
