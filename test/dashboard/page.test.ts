import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { startDashboard, type Dashboard, type DashboardOptions } from "../../provider/dist/dashboard/server.js";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { Resource } from "../support/resource";
import { Traffic } from "../support/traffic";
import { until } from "../support/until";
import { startBrowser } from "./browser";

const token = "a token for the tests";

/** `SCREENSHOTS=1` renews the pictures of the documentation. */
const pictures = join(__dirname, "../../docs/images");

/**
 * Scrolls from top to bottom and returns the highest number of rows in the document. Runs in the browser, hence a string.
 */
const mostRows = `(async () => {
  const body = document.querySelector(".virtual .body");
  let most = 0;
  for (let top = 0; top <= body.scrollHeight; top += 2000) {
    body.scrollTop = top;
    await new Promise((resolve) => requestAnimationFrame(resolve));
    most = Math.max(most, body.querySelectorAll(".row").length);
  }
  return most;
})()`;

/** The page in a real browser, on real migrations. */
describe("the dashboard's page", function () {
  let lab: Lab;
  let browser: Browser;
  let dashboard: Dashboard;
  let axe: string;
  const complaints: string[] = [];
  const undo: (() => Promise<unknown>)[] = [];

  before(async function () {
    const started = await startBrowser();
    if (typeof started === "string") {
      process.stderr.write(`\n    NOT TESTED: ${started}\n\n`);
      return this.skip();
    }
    browser = started;
    axe = await readFile(createRequire(__filename).resolve("axe-core/axe.min.js"), "utf8");
    lab = await Lab.start();
    return undefined;
  });

  after(async () => {
    await (browser as Browser | undefined)?.close();
    await (lab as Lab | undefined)?.stop();
  });

  beforeEach(async () => {
    dashboard = await serve();
  });

  afterEach(async () => {
    await dashboard.close();
    // In reverse order.
    for (const step of undo.splice(0).reverse()) await step();
    assert.deepEqual(complaints.splice(0), [], "the browser complained");
  });

  const serve = (changes: Partial<DashboardOptions> = {}): Promise<Dashboard> =>
    startDashboard({
      target: { ...lab.administrator, sslMode: "Prefer" },
      maintenanceDatabase: "postgres",
      address: "127.0.0.1",
      port: 0,
      token,
      allowedHosts: [],
      readOnly: false,
      ...changes,
    });

  /** A migration that is destroyed after the test. */
  function declare(): Resource {
    const resource = new Resource();
    undo.push(() => resource.destroy());
    return resource;
  }

  async function open(url: string, options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-US", ...options });
    undo.push(() => context.close());
    context.setDefaultTimeout(180_000);
    const page = await context.newPage();
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text());
    });
    await page.goto(url);
    return page;
  }

  /** The serious and critical violations that axe-core finds. */
  async function barriers(page: Page): Promise<string[]> {
    await page.evaluate(axe);
    return page.evaluate(async () => {
      const { axe: engine } = globalThis as unknown as {
        axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> };
      };
      const { violations } = await engine.run();
      return violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
    });
  }

  const recordTables = (migration: string, database: string): Promise<unknown> =>
    lab.target.query(
      `INSERT INTO pgmigration.copy_task (migration, database, id, kind, table_schema, table_name, entry, state, rows_estimated)
       SELECT $1, $2, i, 'table', 'public', 'table_' || lpad(i::text, 4, '0'), 'x', 'queued', i
         FROM generate_series(1, 5000) i`,
      { values: [migration, database] },
    );

  /** Fills in the form's source, and selects the database. */
  async function describeSource(page: Page, database: string): Promise<void> {
    const { host, port, user, password } = lab.source.login;
    for (const [label, value] of Object.entries({ Host: host, Port: String(port), Role: user, Password: password }))
      await page.getByLabel(label, { exact: true }).fill(value);
    await page.getByRole("button", { name: "List databases" }).click();
    await page.getByRole("checkbox", { name: `Migrate ${database}` }).check();
  }

  async function clickAndAgree(page: Page, label: string, agree: string): Promise<void> {
    await page.getByRole("button", { name: label, exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: agree, exact: true }).click();
    await page.getByRole("dialog").waitFor({ state: "hidden" });
  }

  async function picture(page: Page, name: string): Promise<void> {
    if (process.env.SCREENSHOTS === "1") await page.screenshot({ path: join(pictures, `${name}.png`) });
  }

  it("cuts over a running migration by clicking", async () => {
    const database = await lab.database(Traffic.schema);
    const traffic = Traffic.start(lab.source, database, 2);
    undo.push(() => traffic.stop());
    const folder = await mkdtemp(join(tmpdir(), "reports-"));
    undo.push(() => rm(folder, { recursive: true }));
    const resource = declare();
    await resource.create(lab.inputs([database], { migrationMode: "Online", report: folder }));
    const name = resource.inputs.migrationName as string;
    const page = await open(dashboard.url);
    assert(!page.url().includes("token"), "the token does not stay in the address");
    await page.getByRole("link", { name }).waitFor();
    const row = page.getByRole("row", { name: new RegExp(name) });
    await row.getByText(/^[\d.]+ k?B, [\d.]+ s$/).waitFor();
    assert.match(await row.innerText(), /Waiting for user action\s+100 %\s.*\s+running/);
    assert.deepEqual(await barriers(page), []);
    await picture(page, "grid");

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
    assert.deepEqual(await barriers(page), []);
    await page.getByText(/^Ready to cut over: .* behind/).waitFor();
    await picture(page, "migration");

    await page.getByRole("button", { name: "Cut over" }).click();
    const dialog = page.getByRole("dialog");
    assert.match(await dialog.innerText(), /The target is .* behind the source/);
    assert.equal(await page.locator(":focus").innerText(), "Not now", "Enter does not cut over");
    assert.deepEqual(await barriers(page), []);
    await picture(page, "cutover");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    assert.equal((await resource.refresh()).state, "WaitingForUserAction", "Escape declines");

    await page.getByRole("button", { name: "Cut over" }).click();
    await page.getByRole("button", { name: "Cut over now" }).click();
    await page.locator(".title").getByText("Succeeded").waitFor();
    assert.match(await page.getByRole("table", { name: "Cutover" }).innerText(), /apply all commits up to it/);
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });

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
    report.on("console", (message) => complaints.push(message.text()));
    await report.getByRole("heading", { name: `${name} Succeeded` }).waitFor();
    assert.match(await report.getByRole("region", { name: `Tables of ${database}` }).innerText(), /equal\tcontent, at/);
    const padding = `getComputedStyle(document.querySelector(".tiles > div")).paddingLeft`;
    assert.notEqual(await report.evaluate(padding), "0px", "the policy allows the style");
    assert.deepEqual(await barriers(report), []);
    await picture(report, "report");
    for (const format of ["HTML", "JSON"]) {
      const downloading = page.waitForEvent("download");
      await page.getByRole("link", { name: `Save as ${format}` }).click();
      assert.equal((await downloading).suggestedFilename(), `${name}.${format.toLowerCase()}`);
    }
  });

  it("creates a migration: source, databases, summary, start", async () => {
    const database = await lab.database(
      "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TABLE kept_log (); CREATE TABLE kept_a ()",
    );
    await lab.target.query(`CREATE DATABASE ${database} OWNER ${lab.administrator.user}`);
    const before = await lab.targetDatabases();
    const page = await open(dashboard.url);
    await page.getByRole("link", { name: "New migration" }).click();
    const failure = page.locator(".error");
    await page.getByRole("button", { name: "List databases" }).click();
    await failure.getByText(/source\.host.* is missing/).waitFor();
    complaints.splice(0); // The browser reports each refused request.
    await describeSource(page, database);
    const name = `page-${Date.now()}`;
    await page.getByLabel("Name", { exact: true }).fill(name);
    await page.getByLabel("Only these tables").fill("t\n\nkept_*\n");
    await page.getByLabel("Omit these tables").fill("kept_log");
    await page.getByRole("checkbox", { name: "Replace databases that exist on the target" }).check();
    assert.deepEqual(await barriers(page), []);
    await page.getByRole("button", { name: "Show the summary" }).click();
    const summary = page.getByRole("region", { name: "Summary" });
    await summary.getByText(/^Online: from .* \(PostgreSQL 14.* to .* \(PostgreSQL 17/).waitFor();
    assert.match(await summary.getByRole("table", { name: "Databases to migrate" }).innerText(), new RegExp(database));
    assert.deepEqual(await barriers(page), []);
    await picture(page, "new-migration");
    await page.getByLabel("Mode", { exact: true }).selectOption("Offline");
    assert.equal(await summary.innerText(), "", "a change makes the summary outdated");
    await page.getByLabel("Rollback", { exact: true }).selectOption("keep");
    await page.getByRole("button", { name: "Show the summary" }).click();
    await failure.getByText(/^rollback: an offline migration/).waitFor();
    complaints.splice(0);
    await page.getByLabel("Rollback", { exact: true }).selectOption("drop");
    await page.getByRole("button", { name: "Show the summary" }).click();
    await summary.getByText("Stop all applications that write to the source").waitFor();
    assert.deepEqual(await lab.targetDatabases(), before, "nothing has started");
    await summary.getByRole("button", { name: "Start the migration" }).click();
    await page.locator(".title").getByText("Succeeded").waitFor();
    assert(page.url().endsWith(`#/migrations/${name}`));
    await lab.querySource(database, "DROP TABLE kept_log");
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    const resource = declare();
    await resource.create(
      lab.inputs([database], {
        migrationName: name,
        onExistingRecord: "adopt",
        overwriteDbsInTarget: true,
        include: { tables: ["t", "kept_*"] },
        exclude: { tables: ["kept_log"] },
      }),
    );
  });

  it("shows why no worker started for a new migration", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const page = await open(`${dashboard.url}#/new`);
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
    assert.deepEqual(await barriers(page), []);
    const [recorded] = await lab.target.query(
      "SELECT spec -> 'include' AS include FROM pgmigration.migration WHERE name = $1",
      {
        values: [name],
      },
    );
    assert.deepEqual(recorded, { include: {} }, "a blank filter is omitted");
    await page.getByRole("alert").getByRole("link", { name }).click();
    await page.getByText("No worker is running, so nothing moves.").waitFor();
    await declare().create(
      lab.inputs([database], { migrationName: name, migrationMode: "Online", onExistingRecord: "adopt" }),
    );
  });

  it("cancels a running migration by clicking, and leaves nothing on the source", async () => {
    const database = await lab.database(Traffic.schema);
    const resource = declare();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    const slots = (): Promise<unknown[]> => lab.source.query("SELECT FROM pg_replication_slots WHERE NOT temporary");
    assert.equal((await slots()).length, 1);
    const page = await open(dashboard.url);
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
    assert.deepEqual(await barriers(page), []);
  });

  it("starts, verifies and cuts over one of two databases by clicking, and drops the rollback", async () => {
    const sql = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)";
    const names = [await lab.database(sql), await lab.database(sql)] as const;
    const resource = declare();
    await resource.create(lab.inputs(names, { migrationMode: "Online", startDataMigration: false, rollback: "keep" }));
    const page = await open(dashboard.url);
    await page.getByRole("link", { name: resource.inputs.migrationName as string }).click();
    const click = (label: string, agree: string): Promise<void> => clickAndAgree(page, label, agree);
    const subState = async (): Promise<string> => (await resource.refresh()).currentSubStateDetails.currentSubState;
    await click("Start copying", "Start now");
    await click("Verify now", "Compare all rows");
    await until("both databases are compared", async () =>
      Object.values((await resource.refresh()).currentSubStateDetails.dbDetails).every(
        ({ verification }) => verification?.state === "equal",
      ),
    );
    await page.getByRole("button", { name: "Cut over", exact: true }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("checkbox", { name: names[1] }).uncheck();
    assert.deepEqual(await barriers(page), []);
    await dialog.getByRole("button", { name: "Cut over now" }).click();
    await until("the first database is cut over", async () => {
      const { dbDetails } = (await resource.refresh()).currentSubStateDetails;
      return dbDetails[names[0]]!.migrationState === "Succeeded";
    });
    assert.equal(await subState(), "WaitingForCutoverTrigger", "the other database is not cut over");
    await click("Cut over", "Cut over now");
    await click("Drop the rollback", "Drop it now");
    await page.locator(".title").getByText("Succeeded").waitFor();
    assert.equal(await subState(), "Completed");
  });

  it("overwrites a database and opens the migration window by clicking", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    await lab.target.query(`CREATE DATABASE ${database} OWNER ${lab.administrator.user}`);
    const resource = declare();
    const start = new Date(Date.now() + 3600_000).toISOString();
    await resource.create(lab.inputs([database], { waitForConfirmation: true, migrationWindowStartTimeInUtc: start }));
    const page = await open(dashboard.url);
    await page.getByRole("link", { name: resource.inputs.migrationName as string }).click();
    await clickAndAgree(page, "Overwrite databases", "Drop and replace them");
    await clickAndAgree(page, "Open the window now", "Start now");
    await page.locator(".title").getByText("Succeeded").waitFor();
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
  });

  it("sets up replication, keeps a rollback and returns to the source by clicking", async () => {
    const source = await EmbeddedServer.start({ major: 14, parameters: { wal_level: "replica" } });
    undo.push(() => source.stop());
    const database = "returned";
    await source.query(`CREATE DATABASE ${database}`);
    await source.query("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)", { database });
    const resource = declare();
    await resource.create(
      lab.onlineInputs([database], { waitForConfirmation: true, source: { ...source.login, sslMode: "Disable" } }),
    );
    const page = await open(dashboard.url);
    await page.getByRole("link", { name: resource.inputs.migrationName as string }).click();
    await clickAndAgree(page, "Set up replication", "Change the source's settings");
    await until("the worker has changed wal_level", async () =>
      /set to logical/.test(await resource.messageOf(database)),
    );
    await source.restart();
    await clickAndAgree(page, "Keep a rollback", "Keep a rollback");
    await clickAndAgree(page, "Cut over", "Cut over now");
    await page.getByRole("button", { name: "Return to the source" }).waitFor();
    await lab.queryTarget(database, "INSERT INTO t VALUES (2)");
    await clickAndAgree(page, "Return to the source", "Return now");
    await page.locator(".title").getByText("Canceled").waitFor();
    assert.equal((await source.query("SELECT FROM t", { database })).length, 2);
    await assertSameContent({ server: source, database }, { server: lab.target, database });
  });

  it("shows the progress of a copy: bars, tables and throughput", async () => {
    const database = await lab.database(
      // Slow: the copy takes 5 s, so that the page shows it in progress.
      `CREATE TABLE big (id bigint PRIMARY KEY, v text); CREATE TABLE small (id int PRIMARY KEY);
       INSERT INTO big SELECT i, repeat(md5(i::text), 400) FROM generate_series(1, 500) i;
       ALTER TABLE big ADD CHECK (pg_sleep(0.01) IS NOT NULL) NOT VALID;
       UPDATE pg_constraint SET convalidated = true WHERE conrelid = 'big'::regclass`,
    );
    const resource = declare();
    const created = resource.create(lab.inputs([database], { tableJobs: 1 }));
    undo.push(() => created);
    const page = await open(dashboard.url);
    await page.getByRole("link", { name: resource.inputs.migrationName as string }).click();
    await page.locator("#state").getByText("Copying").waitFor();
    await page.locator("#state").getByText("Applications must not write to the source.").waitFor();
    await page.getByText(/^(copying tables|comparing rows, building indexes)$/).waitFor();
    await page.getByText(/^(?!0 %)\d+ %$/).waitFor();
    await picture(page, "copying");
    assert.deepEqual(await barriers(page), []);
    await lab.source.query("INSERT INTO small VALUES (1)", { database });
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
    const database = await lab.database(
      'CREATE TABLE "<img src=x onerror=alert(1)>" (id int); CREATE TABLE k (id int)',
    );
    await lab.target.query(`CREATE DATABASE ${database} OWNER ${lab.administrator.user}`);
    const resource = declare();
    await Resource.failure(resource.create(lab.inputs([database], { migrationMode: "Online" })));
    const name = resource.inputs.migrationName as string;
    const page = await open(dashboard.url);
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
    report.on("console", (message) => complaints.push(message.text()));
    await report.goto(new URL(`/api/migrations/${name}/report.html`, page.url()).href);
    assert.match(await report.locator("#findings").innerText(), /<img src=x/);
    await report.close();
    await picture(page, "failed");
    assert.equal(await page.locator("main img").count(), 0);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await findings.getByRole("button", { name: "Copy" }).first().click();
    await findings.getByRole("button", { name: "Copied" }).waitFor();
    assert.match(await page.evaluate("navigator.clipboard.readText()"), /\S/);
  });

  it("scrolls through and sorts 5,000 tables with few rows in the document, on a dark phone", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = declare();
    await resource.create(lab.inputs([database], { migrationOption: "Validate" }));
    const name = resource.inputs.migrationName as string;
    await recordTables(name, database);
    await lab.target.query(
      `UPDATE pgmigration.copy_task SET state = 'completed', rows_copied = 123456789
        WHERE migration = $1 AND table_name = 'table_4711'`,
      { values: [name] },
    );
    const page = await open(dashboard.url, { viewport: { width: 390, height: 800 }, colorScheme: "dark" });
    await page.getByRole("link", { name }).click();
    await page.getByText("table_0001").waitFor();
    assert.equal(await page.locator("[aria-rowcount]").getAttribute("aria-rowcount"), "5001");
    assert.deepEqual(await barriers(page), []);
    const rows = await page.evaluate<number>(mostRows);
    assert(rows > 0 && rows < 40, `${rows} rows were in the document`);
    await page.getByText("table_5000").waitFor();
    const tables = page.getByRole("table", { name: "Tables" });
    await tables.getByRole("button", { name: "Table" }).click();
    await tables.getByRole("button", { name: "Table" }).click();
    await page.evaluate('document.querySelector(".virtual .body").scrollTop = 0');
    await until("the tables are sorted", async () =>
      /table_5000/.test(await page.locator(".virtual .body .row").first().innerText()),
    );
    await page.getByRole("searchbox", { name: "Search tables" }).fill("nothing");
    await page.getByText("None of 5,000 tables matches.").waitFor();
    await page.getByRole("searchbox", { name: "Search tables" }).fill("table_4711");
    await until("one table is shown", async () => (await page.locator(".virtual .body .row").count()) === 1);
    await page.locator(".virtual .body").focus();
    const wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
    assert.equal(wide, 0, "a phone scrolls in one direction only");
    const row = page.locator(".virtual .body .row");
    assert.match(await row.innerText(), /table_4711\s+Completed\s+123,456,789/i);
    const cut =
      "[...document.querySelectorAll('.virtual .body .row > *')].filter((e) => e.scrollWidth > e.clientWidth).length";
    assert.equal(await page.evaluate(cut), 0, "no value is cut off");
    await picture(page, "phone");
    await page.goto(new URL(`/api/migrations/${name}/report.html`, page.url()).href);
    assert.equal(await page.locator("#tables tbody tr").count(), 5000);
    assert.equal(await page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0);
    await page.goBack();
    await page.getByRole("link", { name: "pg-migration" }).click();
    await page.getByRole("link", { name }).waitFor();
    const card = page.getByRole("row", { name: new RegExp(name) });
    assert(await card.getByText("Succeeded").isVisible());
    assert.equal((await card.innerText()).split("\n").filter((line) => line.trim() !== "").length, 3);
    assert.deepEqual(await barriers(page), []);
  });

  it("lists a fleet with what needs attention first, on a desktop and on a dark phone", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = declare();
    await resource.create(lab.onlineInputs([database], { migrationName: "crm" }));
    for (const [name, state, error] of [
      ["billing", "Succeeded", null],
      ["orders", "Failed", 'database orders: relation "public.invoice" already exists on the target'],
      ["stock", "Succeeded", null],
    ])
      await lab.target.query(
        `INSERT INTO pgmigration.migration
         SELECT (jsonb_populate_record(m, jsonb_build_object('name', $1::text, 'state', $2::text, 'error', $3::text,
                                                             'ended_at', now()))).*
           FROM pgmigration.migration m WHERE name = 'crm'`,
        { values: [name, state, error] },
      );
    undo.push(() => lab.target.query("DELETE FROM pgmigration.migration WHERE name IN ('billing', 'orders', 'stock')"));
    const target = { ...lab.administrator, sslMode: "Disable" as const };
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
    const fleet = await serve({ fleet: { name: "servers.csv", first, readTargets } });
    undo.push(() => fleet.close());
    const page = await open(fleet.url, { viewport: { width: 1280, height: 620 } });
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
    assert.deepEqual(await barriers(page), []);
    await picture(page, "fleet");
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

    const phone = await open(fleet.url, { viewport: { width: 390, height: 800 }, colorScheme: "dark" });
    await phone.getByRole("row", { name: /orders/ }).waitFor();
    assert.equal(await phone.evaluate("document.documentElement.scrollWidth - innerWidth"), 0);
    assert.deepEqual(await barriers(phone), []);
  });

  it("shows where a migration failed, and wraps the error", async () => {
    const database = await lab.database(
      `CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
       ALTER TABLE t ADD CHECK (10 / (id - 1) > 0) NOT VALID;
       UPDATE pg_constraint SET convalidated = true WHERE conrelid = 't'::regclass`,
    );
    const resource = declare();
    await Resource.failure(resource.create(lab.inputs([database])));
    const page = await open(dashboard.url, { viewport: { width: 390, height: 800 } });
    await page.getByRole("link", { name: resource.inputs.migrationName as string }).click();
    await page.locator(".title").getByText("Failed").waitFor();
    assert.equal(await page.locator(".stepper [aria-current]").innerText(), "Copy");
    assert.equal(await page.locator(".stepper .stopped").count(), 1);
    await page.locator(".detail .error").waitFor();
    assert.equal(await page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0);
    assert.deepEqual(await barriers(page), []);
  });

  it("shows that a worker is lost, and claims no lag without one", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = declare();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    const name = resource.inputs.migrationName as string;
    const isMeasured = async (): Promise<boolean> =>
      (await resource.refresh()).currentSubStateDetails.dbDetails[database]!.isLagMeasured;
    await until("the lag is measured", isMeasured);
    process.kill(resource.status.worker.pid!, "SIGKILL");
    const page = await open(dashboard.url);
    const row = page.getByRole("row", { name: new RegExp(name) });
    await row.getByText("Worker lost").waitFor();
    assert.match(await row.innerText(), /unknown\s+lost/);
    await page.getByRole("link", { name }).click();
    await page.getByText("No worker is running, so nothing moves.").waitFor();
    await page.getByText(/^unknown since /).waitFor();
    await page.getByRole("button", { name: "Cut over" }).click();
    assert.match(await page.getByRole("dialog").innerText(), /behind the source is unknown since/);
    assert.deepEqual(await barriers(page), []);
  });

  it("states that the target cannot be read, and nothing about its migrations", async () => {
    const unreachable = await serve({ target: { ...lab.administrator, port: 1, sslMode: "Disable" } });
    undo.push(() => unreachable.close());
    const page = await open(unreachable.url);
    await page.getByText("target not reachable, retrying").waitFor();
    await page.getByText(/^The target cannot be read/).waitFor();
    assert.doesNotMatch(await page.locator("main").innerText(), /No migration into this server/);
    assert.deepEqual(await barriers(page), []);
  });

  it("asks for the token where it is missing", async () => {
    const page = await open(new URL(dashboard.url).origin);
    await page.getByLabel("Token").fill("guessed");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("The token is wrong.").waitFor();
    assert.deepEqual(await barriers(page), []);
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("No migration into this server is recorded").waitFor();
    assert.match(complaints.splice(0).join(), /401/);
  });

  it("asks for the new token after the dashboard was restarted", async () => {
    const page = await open(dashboard.url);
    await page.getByText("live").waitFor();
    const { port } = new URL(dashboard.url);
    await dashboard.close();
    dashboard = await serve({ port: Number(port), token: "another token for the tests" });
    await page.getByLabel("Token").waitFor();
    complaints.splice(0);
  });

  it("opens from a link on another site", async () => {
    const page = await open(dashboard.url);
    await page.getByText("live").waitFor();
    const { port } = new URL(dashboard.url);
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
      const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
      const resource = declare();
      await resource.create(lab.inputs([database], { migrationOption: "Validate" }));
      const name = resource.inputs.migrationName as string;
      await recordTables(name, database);
      await lab.target.query("DELETE FROM pgmigration.sample WHERE migration = $1", { values: [name] });
      await lab.target.query(
        `INSERT INTO pgmigration.sample (migration, at, kept_until, bytes_copied, bytes_total, lag_bytes, latency_seconds)
         SELECT $1, timestamptz '2026-03-04 19:08:09+01' + i * interval '1 hour', 'infinity', i * 2048 * 3600, 1, 0, 0
           FROM generate_series(0, 60) i`,
        { values: [name] },
      );
      await lab.target.query(
        "INSERT INTO pgmigration.event (migration, at, level, message) VALUES ($1, '2026-03-04 19:08:09+01', 'info', 'early')",
        { values: [name] },
      );
      const page = await open("about:blank", { timezoneId: "Europe/Berlin" });
      await page.addInitScript(
        `Object.defineProperty(Navigator.prototype, "language", { get: () => ${JSON.stringify(language)} });
         globalThis.drawn = new Set();
         const { fillText } = CanvasRenderingContext2D.prototype;
         CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
           globalThis.drawn.add(text);
           return fillText.call(this, text, ...place);
         }`,
      );
      await page.goto(`${dashboard.url}#/migrations/${name}`);
      await page.getByText(rows).waitFor();
      await page.getByText("times in Europe/Berlin").waitFor();
      assert.match(await page.getByRole("listitem").filter({ hasText: "early" }).innerText(), new RegExp(`^${event}`));
      const drawn = async (): Promise<readonly string[]> => page.evaluate("[...globalThis.drawn]");
      await until("the chart is drawn", async () => (await drawn()).some((label) => hours.test(label)));
      assert((await drawn()).includes(tick), String(await drawn()));
    });

  it("offers no actions in read-only mode, and weighs less than 200 kB", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = declare();
    await resource.create(lab.inputs([database], { migrationOption: "Validate" }));
    const name = resource.inputs.migrationName as string;
    const readOnly = await serve({ readOnly: true });
    undo.push(() => readOnly.close());
    let weight = 0;
    const page = await open("about:blank");
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
    assert.match(complaints.splice(0).join(), /403/);
    assert(weight > 50_000 && weight < 200_000, `the page weighs ${weight} bytes`);
  });
});
