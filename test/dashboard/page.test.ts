import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { assertSameContent } from "../support/content";
import { Resource } from "../support/resource";
import { Traffic } from "../support/traffic";
import { until } from "../support/until";
import { PageScene } from "./page-scene";

/** The page in a real browser, on real migrations. */
describe("the dashboard's page", () => {
  const scene = new PageScene();

  /** Fills in the form's source, and selects the database. */
  async function describeSource(page: Page, database: string): Promise<void> {
    const { host, port, user, password } = scene.lab.source.login;
    for (const [label, value] of Object.entries({ Host: host, Port: String(port), Role: user, Password: password }))
      await page.getByLabel(label, { exact: true }).fill(value);
    await page.getByRole("button", { name: "List databases" }).click();
    await page.getByRole("checkbox", { name: `Migrate ${database}` }).check();
  }

  it("cuts over a running migration by clicking", async () => {
    const database = await scene.lab.database(Traffic.schema);
    const traffic = Traffic.start(scene.lab.source, database, 2);
    scene.undo.push(() => traffic.stop());
    const folder = await mkdtemp(join(tmpdir(), "reports-"));
    scene.undo.push(() => rm(folder, { recursive: true }));
    const resource = scene.declare();
    await resource.create(scene.lab.inputs([database], { migrationMode: "Online", report: folder }));
    const name = resource.inputs.migrationName as string;
    const page = await scene.open(scene.dashboard.url);
    assert(!page.url().includes("token"), "the token does not stay in the address");
    await page.getByRole("link", { name }).waitFor();
    const row = page.getByRole("row", { name: new RegExp(name) });
    await row.getByText(/^[\d.]+ k?B, [\d.]+ s$/).waitFor();
    assert.match(await row.innerText(), /Waiting for user action\s+100 %\s.*\s+running/);
    assert.deepEqual(await scene.barriers(page), []);
    await scene.picture(page, "grid");

    await page.getByRole("link", { name }).click();
    await page.locator(".title").getByText("Waiting for user action").waitFor();
    assert.equal(await page.locator(".stepper [aria-current]").innerText(), "Follow");
    const counters = page.getByRole("table", { name: "Databases" });
    await page.locator(".stream", { hasText: /WAL kept on the source: \d/ }).waitFor();
    assert.match((await page.locator(".stream").allInnerTexts()).join(), /behind .* pending,.*inserts\/s/);
    const before = await counters.innerText();
    await traffic.forTransactions(50);
    await until("the counters change by themselves", async () => (await counters.innerText()) !== before);
    await traffic.stop();
    assert.deepEqual(await scene.barriers(page), []);
    await page.getByText(/^Ready to cut over: .* behind/).waitFor();
    await scene.picture(page, "migration");

    await page.getByRole("button", { name: "Cut over" }).click();
    const dialog = page.getByRole("dialog");
    assert.match(await dialog.innerText(), /The target is .* behind the source/);
    assert.equal(await page.locator(":focus").innerText(), "Not now", "Enter does not cut over");
    assert.deepEqual(await scene.barriers(page), []);
    await scene.picture(page, "cutover");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    assert.equal((await resource.refresh()).state, "WaitingForUserAction", "Escape declines");

    await page.getByRole("button", { name: "Cut over" }).click();
    await page.getByRole("button", { name: "Cut over now" }).click();
    await page.locator(".title").getByText("Succeeded").waitFor();
    assert.match(await page.getByRole("table", { name: "Cutover" }).innerText(), /apply all commits up to it/);
    await assertSameContent({ server: scene.lab.source, database }, { server: scene.lab.target, database });

    assert.equal(
      (await resource.diff()).changes,
      true,
      "the next up writes the report of a migration that ended meanwhile",
    );
    await resource.update({});
    assert.deepEqual((await readdir(folder)).sort(), [`${name}.html`, `${name}.json`]);
    assert.equal((await resource.diff()).changes, false);

    const opening = page.context().waitForEvent("page");
    await page.getByRole("link", { name: "Report", exact: true }).click();
    const report = await opening;
    report.on("console", (message) => scene.complaints.push(message.text()));
    await report.getByRole("heading", { name: `${name} Succeeded` }).waitFor();
    assert.match(await report.getByRole("region", { name: `Tables of ${database}` }).innerText(), /equal\tcontent, at/);
    const padding = `getComputedStyle(document.querySelector(".tiles > div")).paddingLeft`;
    assert.notEqual(await report.evaluate(padding), "0px", "the policy allows the style");
    assert.deepEqual(await scene.barriers(report), []);
    await scene.picture(report, "report");
    for (const format of ["HTML", "JSON"]) {
      const downloading = page.waitForEvent("download");
      await page.getByRole("link", { name: `Save as ${format}` }).click();
      assert.equal((await downloading).suggestedFilename(), `${name}.${format.toLowerCase()}`);
    }
  });

  it("creates a migration: source, databases, summary, start", async () => {
    const database = await scene.lab.database(
      "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TABLE kept_log (); CREATE TABLE kept_a ()",
    );
    await scene.lab.target.query(`CREATE DATABASE ${database} OWNER ${scene.lab.administrator.user}`);
    const before = await scene.lab.targetDatabases();
    const page = await scene.open(scene.dashboard.url);
    await page.getByRole("link", { name: "New migration" }).click();
    const failure = page.locator(".error");
    await page.getByRole("button", { name: "List databases" }).click();
    await failure.getByText(/source\.host.* is missing/).waitFor();
    scene.complaints.splice(0); // The scene.browser reports each refused request.
    await describeSource(page, database);
    const name = `page-${Date.now()}`;
    await page.getByLabel("Name", { exact: true }).fill(name);
    await page.getByLabel("Only these tables").fill("t\n\nkept_*\n");
    await page.getByLabel("Omit these tables").fill("kept_log");
    await page.getByRole("checkbox", { name: "Replace databases that exist on the target" }).check();
    assert.deepEqual(await scene.barriers(page), []);
    await page.getByRole("button", { name: "Show the summary" }).click();
    const summary = page.getByRole("region", { name: "Summary" });
    await summary.getByText(/^Online: from .* \(PostgreSQL 14.* to .* \(PostgreSQL 17/).waitFor();
    assert.match(await summary.getByRole("table", { name: "Databases to migrate" }).innerText(), new RegExp(database));
    assert.deepEqual(await scene.barriers(page), []);
    await scene.picture(page, "new-migration");
    await page.getByLabel("Mode", { exact: true }).selectOption("Offline");
    assert.equal(await summary.innerText(), "", "a change makes the summary outdated");
    await page.getByLabel("Rollback", { exact: true }).selectOption("keep");
    await page.getByRole("button", { name: "Show the summary" }).click();
    await failure.getByText(/^rollback: an offline migration/).waitFor();
    scene.complaints.splice(0);
    await page.getByLabel("Rollback", { exact: true }).selectOption("drop");
    await page.getByRole("button", { name: "Show the summary" }).click();
    await summary.getByText("Stop all applications that write to the source").waitFor();
    assert.deepEqual(await scene.lab.targetDatabases(), before, "nothing has started");
    await summary.getByRole("button", { name: "Start the migration" }).click();
    await page.locator(".title").getByText("Succeeded").waitFor();
    assert(page.url().endsWith(`#/migrations/${name}`));
    await scene.lab.querySource(database, "DROP TABLE kept_log");
    await assertSameContent({ server: scene.lab.source, database }, { server: scene.lab.target, database });
    const resource = scene.declare();
    await resource.create(
      scene.lab.inputs([database], {
        migrationName: name,
        onExistingRecord: "adopt",
        overwriteDbsInTarget: true,
        include: { tables: ["t", "kept_*"] },
        exclude: { tables: ["kept_log"] },
      }),
    );
  });

  it("shows why no worker started for a new migration", async () => {
    const database = await scene.lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const page = await scene.open(`${scene.dashboard.url}#/new`);
    await describeSource(page, database);
    const name = `page-${Date.now()}`;
    await page.getByLabel("Name", { exact: true }).fill(name);
    await page.getByLabel("Only these tables").fill(" \n");
    await page.getByRole("button", { name: "Show the summary" }).click();
    const { XDG_STATE_HOME: former } = process.env;
    process.env.XDG_STATE_HOME = "/dev/null";
    try {
      await page.getByRole("button", { name: "Start the migration" }).click();
      await page.getByText(`${name} is recorded, but no worker started: ENOTDIR`).waitFor();
    } finally {
      if (former === undefined) delete process.env.XDG_STATE_HOME;
      else process.env.XDG_STATE_HOME = former;
    }
    assert.equal(await page.getByRole("button", { name: "Start the migration" }).count(), 0);
    assert.deepEqual(await scene.barriers(page), []);
    const [recorded] = await scene.lab.target.query(
      "SELECT spec -> 'include' AS include FROM pgmigration.migration WHERE name = $1",
      {
        values: [name],
      },
    );
    assert.deepEqual(recorded, { include: {} }, "a blank filter is omitted");
    await page.getByRole("alert").getByRole("link", { name }).click();
    await page.getByText("No worker is running, so nothing moves.").waitFor();
    await scene
      .declare()
      .create(
        scene.lab.inputs([database], { migrationName: name, migrationMode: "Online", onExistingRecord: "adopt" }),
      );
  });

  it("cancels a running migration by clicking, and leaves nothing on the source", async () => {
    const database = await scene.lab.database(Traffic.schema);
    const resource = scene.declare();
    await resource.create(scene.lab.inputs([database], { migrationMode: "Online" }));
    const slots = (): Promise<unknown[]> =>
      scene.lab.source.query("SELECT FROM pg_replication_slots WHERE NOT temporary");
    assert.equal((await slots()).length, 1);
    const page = await scene.open(scene.dashboard.url);
    await page.getByRole("link", { name: resource.inputs.migrationName as string }).click();
    await page.getByRole("button", { name: "Cancel migration" }).click();
    assert.match(
      await page.getByRole("dialog").innerText(),
      /drops the slots and publications of the canceled databases/,
    );
    await page.getByRole("button", { name: "Not now" }).click();
    await page.getByRole("button", { name: "Cancel migration" }).click();
    await page.getByRole("button", { name: "Cancel the migration" }).click();
    await page.locator(".title").getByText("Canceled").waitFor();
    assert.equal((await resource.refresh()).state, "Canceled");
    assert.equal((await slots()).length, 0);
    assert(await page.getByRole("button", { name: "Cancel migration" }).isDisabled());
    assert.deepEqual(await scene.barriers(page), []);
  });

  it("shows the progress of a copy: bars, tables and throughput", async () => {
    const database = await scene.lab.database(
      // Slow: the copy takes 5 s, so that the page shows it in progress.
      `CREATE TABLE big (id bigint PRIMARY KEY, v text); CREATE TABLE small (id int PRIMARY KEY);
       INSERT INTO big SELECT i, repeat(md5(i::text), 400) FROM generate_series(1, 500) i;
       ALTER TABLE big ADD CHECK (pg_sleep(0.01) IS NOT NULL) NOT VALID;
       UPDATE pg_constraint SET convalidated = true WHERE conrelid = 'big'::regclass`,
    );
    const resource = scene.declare();
    const created = resource.create(scene.lab.inputs([database], { tableJobs: 1 }));
    scene.undo.push(() => created);
    const page = await scene.open(scene.dashboard.url);
    await page.getByRole("link", { name: resource.inputs.migrationName as string }).click();
    await page.locator("#state").getByText("Copying").waitFor();
    await page.locator("#state").getByText("Applications must not write to the source.").waitFor();
    await page.getByText(/^(copying tables|comparing rows, building indexes)$/).waitFor();
    await page.getByText(/^(?!0 %)\d+ %$/).waitFor();
    await scene.picture(page, "copying");
    assert.deepEqual(await scene.barriers(page), []);
    await scene.lab.source.query("INSERT INTO small VALUES (1)", { database });
    await created;
    await page.locator(".title").getByText("Succeeded").waitFor();
    await page
      .locator("#state")
      .getByText("The target lacks changes that were committed after the snapshot.")
      .waitFor();
    const tiles = await page.locator(".tiles").innerText();
    assert.match(tiles, /B\/s on average/);
    assert.match(tiles, /Duration/i);
    assert.doesNotMatch(tiles, /running for|left/i);
    const captions = await page.locator("figcaption").allInnerTexts();
    assert.equal(captions[0], "Copy rate", "without a current value after the end");
  });

  it("shows findings with a remedy to copy, and server texts never as HTML", async () => {
    const database = await scene.lab.database(
      'CREATE TABLE "<img src=x onerror=alert(1)>" (id int); CREATE TABLE k (id int)',
    );
    await scene.lab.target.query(`CREATE DATABASE ${database} OWNER ${scene.lab.administrator.user}`);
    const resource = scene.declare();
    await Resource.failure(resource.create(scene.lab.inputs([database], { migrationMode: "Online" })));
    const name = resource.inputs.migrationName as string;
    const page = await scene.open(scene.dashboard.url);
    await page.getByRole("link", { name }).click();
    const findings = page.getByRole("table", { name: "Validation" });
    const code = findings.getByRole("link", { name: "603101" });
    assert.match((await code.getAttribute("href")) ?? "", /^https:.*\/docs\/findings\.md#603101$/);
    assert.match(await findings.innerText(), /overwriteDbsInTarget/);
    assert.match(await findings.innerText(), /<img src=x/);
    const objects = await findings.locator('[data-label="Object"]').allInnerTexts();
    assert(objects.includes(database), "the database is the object");
    assert(!objects.includes(`${database} ${database}`), "an object is named once");
    const report = await page.context().newPage();
    report.on("console", (message) => scene.complaints.push(message.text()));
    await report.goto(new URL(`/api/migrations/${name}/report.html`, page.url()).href);
    assert.match(await report.locator("#findings").innerText(), /<img src=x/);
    await report.close();
    await scene.picture(page, "failed");
    assert.equal(await page.locator("main img").count(), 0);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await findings.getByRole("button", { name: "Copy" }).first().click();
    await findings.getByRole("button", { name: "Copied" }).waitFor();
    assert.match(await page.evaluate("navigator.clipboard.readText()"), /\S/);
  });

  it("lists a fleet with what needs attention first, on a desktop and on a dark phone", async () => {
    const database = await scene.lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = scene.declare();
    await resource.create(scene.lab.onlineInputs([database], { migrationName: "crm" }));
    for (const [name, state, error] of [
      ["billing", "Succeeded", null],
      ["orders", "Failed", 'database orders: relation "public.invoice" already exists on the target'],
      ["stock", "Succeeded", null],
    ])
      await scene.lab.target.query(
        `INSERT INTO pgmigration.migration
         SELECT (jsonb_populate_record(m, jsonb_build_object('name', $1::text, 'state', $2::text, 'error', $3::text,
                                                             'ended_at', now()))).*
           FROM pgmigration.migration m WHERE name = 'crm'`,
        { values: [name, state, error] },
      );
    scene.undo.push(() =>
      scene.lab.target.query("DELETE FROM pgmigration.migration WHERE name IN ('billing', 'orders', 'stock')"),
    );
    await scene.lab.target.query(
      `INSERT INTO pgmigration.finding (migration, type, state, code, message)
       SELECT name, 'Schema', CASE name WHEN 'orders' THEN 'Failed' ELSE 'Warning' END, '603101', 'exists'
         FROM unnest(ARRAY['billing', 'orders']) name`,
    );
    const target = { ...scene.lab.administrator, sslMode: "Disable" as const };
    const first = {
      targets: [
        { name: "berlin / 1", address: { target, maintenanceDatabase: "postgres" } },
        { name: "paris", address: { target: { ...target, port: 1 }, maintenanceDatabase: "postgres" } },
      ],
      problems: [
        { place: "servers.csv:14", reason: "the target paris:5432 is also at servers.csv:3; remove one of the two" },
      ],
    };
    const readTargets = () => Promise.resolve(first);
    const fleet = await scene.serve({ fleet: { name: "servers.csv", first, readTargets } });
    scene.undo.push(() => fleet.close());
    const page = await scene.open(fleet.url, { viewport: { width: 1280, height: 620 } });
    const table = page.getByRole("table", { name: "Fleet" });
    const shown = async (): Promise<string[]> =>
      (await table.locator("tbody tr").allInnerTexts()).map((text) => text.replace(/\s+/g, " ").trim());
    await until("all targets are shown", async () => (await shown()).length === 5);
    assert.deepEqual(
      (await shown()).map((text) => /orders|paris|crm|billing|stock/.exec(text)?.[0]),
      ["orders", "paris", "crm", "billing", "stock"],
    );
    await page.getByText("servers.csv:14: the target paris:5432").waitFor();
    await page.getByText("5 of 5 rows, 2 targets").waitFor();
    const finding = page.getByRole("table", { name: "Findings" }).getByRole("row", { name: /603101/ });
    assert.match(
      await finding.innerText(),
      /^Failed\s+603101\s+berlin \/ 1\/orders, berlin \/ 1\/billing\s+the database/,
    );
    assert.deepEqual(await scene.barriers(page), []);
    await scene.picture(page, "fleet");
    await page.getByRole("button", { name: "Needs attention 3" }).click();
    await until("three rows are shown", async () => (await shown()).length === 3);
    await page.getByRole("searchbox", { name: "Search targets" }).fill("invoice");
    await until("one row is shown", async () => (await shown()).length === 1);
    await page.getByRole("searchbox", { name: "Search targets" }).fill("");
    await page.getByRole("button", { name: "All 5" }).click();
    await table.getByRole("button", { name: "Migration" }).click();
    await until("the rows are sorted", async () =>
      /orders/.test((await shown()).findLast((text) => !/stock/.test(text))!),
    );

    await page.getByRole("link", { name: "crm" }).click();
    await page.locator(".title").getByText("Waiting for user action").waitFor();
    const report = page.getByRole("link", { name: "Save as JSON" });
    assert.equal(await report.getAttribute("href"), "/targets/berlin%20%2F%201/api/migrations/crm/report");
    await page.getByRole("button", { name: "Cut over" }).click();
    await page.getByRole("button", { name: "Cut over now" }).click();
    await page.locator(".title").getByText("Succeeded").waitFor();
    await page.locator("header").getByRole("link", { name: "berlin / 1" }).click();
    await page.getByRole("table", { name: "Migrations" }).getByRole("link", { name: "billing" }).waitFor();

    const phone = await scene.open(fleet.url, { viewport: { width: 390, height: 800 }, colorScheme: "dark" });
    await phone
      .getByRole("table", { name: "Fleet" })
      .getByRole("row", { name: /orders/ })
      .waitFor();
    assert.equal(await phone.evaluate("document.documentElement.scrollWidth - innerWidth"), 0);
    assert.deepEqual(await scene.barriers(phone), []);
  });

  it("shows where a migration failed, and wraps the error", async () => {
    const database = await scene.lab.database(
      `CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
       ALTER TABLE t ADD CHECK (10 / (id - 1) > 0) NOT VALID;
       UPDATE pg_constraint SET convalidated = true WHERE conrelid = 't'::regclass`,
    );
    const resource = scene.declare();
    await Resource.failure(resource.create(scene.lab.inputs([database])));
    const page = await scene.open(scene.dashboard.url, { viewport: { width: 390, height: 800 } });
    await page.getByRole("link", { name: resource.inputs.migrationName as string }).click();
    await page.locator(".title").getByText("Failed").waitFor();
    assert.equal(await page.locator(".stepper [aria-current]").innerText(), "Copy");
    assert.equal(await page.locator(".stepper .stopped").count(), 1);
    await page.locator(".detail .error").waitFor();
    assert.equal(await page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0);
    assert.deepEqual(await scene.barriers(page), []);
  });

  it("shows that a worker is lost, and claims no lag without one", async () => {
    const database = await scene.lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = scene.declare();
    await resource.create(scene.lab.inputs([database], { migrationMode: "Online" }));
    const name = resource.inputs.migrationName as string;
    const isMeasured = async (): Promise<boolean> =>
      (await resource.refresh()).currentSubStateDetails.dbDetails[database]!.isLagMeasured;
    await until("the lag is measured", isMeasured);
    process.kill(resource.status.worker.pid!, "SIGKILL");
    const page = await scene.open(scene.dashboard.url);
    const row = page.getByRole("row", { name: new RegExp(name) });
    await row.getByText("Worker lost").waitFor();
    assert.match(await row.innerText(), /unknown\s+lost/);
    await page.getByRole("link", { name }).click();
    await page.getByText("No worker is running, so nothing moves.").waitFor();
    await page.getByText(/^unknown since /).waitFor();
    await page.getByRole("button", { name: "Cut over" }).click();
    assert.match(await page.getByRole("dialog").innerText(), /behind the source is unknown since/);
    assert.deepEqual(await scene.barriers(page), []);
  });

  it("states that the target cannot be read, and nothing about its migrations", async () => {
    const unreachable = await scene.serve({ target: { ...scene.lab.administrator, port: 1, sslMode: "Disable" } });
    scene.undo.push(() => unreachable.close());
    const page = await scene.open(unreachable.url);
    await page.getByText("target not reachable, retrying").waitFor();
    await page.getByText(/^The target cannot be read/).waitFor();
    assert.doesNotMatch(await page.locator("main").innerText(), /No migration into this server/);
    assert.deepEqual(await scene.barriers(page), []);
  });

  it("asks for the token where it is missing", async () => {
    const page = await scene.open(new URL(scene.dashboard.url).origin);
    await page.getByLabel("Token").fill("guessed");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("The token is wrong.").waitFor();
    assert.deepEqual(await scene.barriers(page), []);
    await page.getByLabel("Token").fill(scene.token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("No migration into this server is recorded").waitFor();
    assert.match(scene.complaints.splice(0).join(), /401/);
  });

  it("asks for the new token after the dashboard was restarted", async () => {
    const page = await scene.open(scene.dashboard.url);
    await page.getByText("live").waitFor();
    const { port } = new URL(scene.dashboard.url);
    await scene.dashboard.close();
    scene.dashboard = await scene.serve({ port: Number(port), token: "another token for the tests" });
    await page.getByLabel("Token").waitFor();
    scene.complaints.splice(0);
  });

  it("opens from a link on another site", async () => {
    const page = await scene.open(scene.dashboard.url);
    await page.getByText("live").waitFor();
    const { port } = new URL(scene.dashboard.url);
    await page.route("http://elsewhere.example/", (route) =>
      route.fulfill({ contentType: "text/html", body: `<a href="http://127.0.0.1:${port}/">dashboard</a>` }),
    );
    await page.goto("http://elsewhere.example/");
    await page.getByRole("link", { name: "dashboard" }).click();
    await page.getByText("live").waitFor();
  });

  for (const [language, rows, event, tick, hours] of [
    ["en-US@posix", "5,000 of 5,000 tables", "03/04/2026, 07:08:09 PM", "2.0 kB/s", /^Mar \d, \d+ (AM|PM)$/],
    ["de-DE", "5.000 of 5.000 tables", "04.03.2026, 19:08:09", "2,0 kB/s", /^\d. März, \d\d Uhr$/],
  ] as const)
    it(`shows times, days and numbers as a browser with the language ${language} does`, async () => {
      const database = await scene.lab.database("CREATE TABLE t (id int PRIMARY KEY)");
      const resource = scene.declare();
      await resource.create(scene.lab.inputs([database], { migrationOption: "Validate" }));
      const name = resource.inputs.migrationName as string;
      await scene.recordTables(name, database);
      await scene.lab.target.query("DELETE FROM pgmigration.sample WHERE migration = $1", { values: [name] });
      await scene.lab.target.query(
        `INSERT INTO pgmigration.sample (migration, at, kept_until, bytes_copied, bytes_total, lag_bytes, latency_seconds)
         SELECT $1, timestamptz '2026-03-04 19:08:09+01' + i * interval '1 hour', 'infinity', i * 2048 * 3600, 1, 0, 0
           FROM generate_series(0, 60) i`,
        { values: [name] },
      );
      await scene.lab.target.query(
        "INSERT INTO pgmigration.event (migration, at, level, message) VALUES ($1, '2026-03-04 19:08:09+01', 'info', 'early')",
        { values: [name] },
      );
      const page = await scene.open("about:blank", { timezoneId: "Europe/Berlin" });
      await page.addInitScript(
        `Object.defineProperty(Navigator.prototype, "language", { get: () => ${JSON.stringify(language)} });
         globalThis.drawn = new Set();
         const { fillText } = CanvasRenderingContext2D.prototype;
         CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
           globalThis.drawn.add(text);
           return fillText.call(this, text, ...place);
         }`,
      );
      await page.goto(`${scene.dashboard.url}#/migrations/${name}`);
      await page.getByText(rows).waitFor();
      await page.getByText("times in Europe/Berlin").waitFor();
      assert.match(await page.getByRole("listitem").filter({ hasText: "early" }).innerText(), new RegExp(`^${event}`));
      const drawn = async (): Promise<readonly string[]> => page.evaluate("[...globalThis.drawn]");
      await until("the chart is drawn", async () => (await drawn()).some((label) => hours.test(label)));
      assert((await drawn()).includes(tick), String(await drawn()));
    });

  it("offers no actions in read-only mode, and weighs less than 200 kB", async () => {
    const database = await scene.lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = scene.declare();
    await resource.create(scene.lab.inputs([database], { migrationOption: "Validate" }));
    const name = resource.inputs.migrationName as string;
    const readOnly = await scene.serve({ readOnly: true });
    scene.undo.push(() => readOnly.close());
    let weight = 0;
    const page = await scene.open("about:blank");
    page.on("response", (response) => {
      if (!response.url().includes("/api/events")) weight += Number(response.headers()["content-length"] ?? 0);
    });
    await page.goto(readOnly.url);
    await page.getByRole("link", { name }).click();
    await page.getByText("Read-only").waitFor();
    assert.equal(await page.getByRole("button", { name: /Cut over|Cancel/ }).count(), 0);
    const refused = await page.evaluate<number, string>(
      async (path) => (await fetch(path, { method: "POST", headers: { "content-type": "application/json" } })).status,
      `/api/migrations/${name}/cancel`,
    );
    assert.equal(refused, 403);
    assert.match(scene.complaints.splice(0).join(), /403/);
    assert(weight > 50_000 && weight < 200_000, `the page weighs ${weight} bytes`);
  });
});
