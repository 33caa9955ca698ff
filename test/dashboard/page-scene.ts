import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { startDashboard, type Dashboard, type DashboardOptions } from "../../provider/dist/dashboard/server.js";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { startBrowser } from "./browser";

/** `SCREENSHOTS=1` renews the pictures of the documentation. */
const pictures = join(__dirname, "../../docs/images");

/**
 * For the tests of a `describe`: a lab, a browser, and a new dashboard for each test. A test fails if the browser complained.
 * The tests are skipped if the system lacks a library of the browser.
 */
export class PageScene {
  readonly token = "a token for the tests";
  /** Errors that a page threw or logged. */
  readonly complaints: string[] = [];
  /** Steps after the current test, in reverse order. */
  readonly undo: (() => Promise<unknown>)[] = [];
  #lab: Lab | undefined;
  #browser: Browser | undefined;
  #dashboard: Dashboard | undefined;
  #axe = "";

  constructor() {
    const start = (skip: () => void): Promise<void> => this.#start(skip);
    before(async function () {
      await start(() => this.skip());
    });
    beforeEach(async () => {
      this.dashboard = await this.serve();
    });
    afterEach(async () => {
      await this.dashboard.close();
      for (const step of this.undo.splice(0).reverse()) await step();
      assert.deepEqual(this.complaints.splice(0), [], "the browser complained");
    });
    after(async () => {
      await this.#browser?.close();
      await this.#lab?.stop();
    });
  }

  get lab(): Lab {
    return started(this.#lab);
  }

  get dashboard(): Dashboard {
    return started(this.#dashboard);
  }

  /** The dashboard that is closed after the test. */
  set dashboard(dashboard: Dashboard) {
    this.#dashboard = dashboard;
  }

  serve(changes: Partial<DashboardOptions> = {}): Promise<Dashboard> {
    return startDashboard({
      target: { ...this.lab.administrator, sslMode: "Prefer" },
      maintenanceDatabase: "postgres",
      address: "127.0.0.1",
      port: 0,
      token: this.token,
      allowedHosts: [],
      readOnly: false,
      ...changes,
    });
  }

  /** A migration that is destroyed after the test. */
  declare(): Resource {
    const resource = new Resource();
    this.undo.push(() => resource.destroy());
    return resource;
  }

  async open(url: string, options: BrowserContextOptions = {}): Promise<Page> {
    const wide = { viewport: { width: 1280, height: 900 }, locale: "en-US" };
    const context = await started(this.#browser).newContext({ ...wide, ...options });
    this.undo.push(() => context.close());
    context.setDefaultTimeout(180_000);
    const page = await context.newPage();
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") this.complaints.push(message.text());
    });
    await page.goto(url);
    return page;
  }

  /** The serious and critical violations that axe-core finds. */
  async barriers(page: Page): Promise<string[]> {
    await page.evaluate(this.#axe);
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

  /** Records 5,000 tables of a migration's copy. */
  recordTables(migration: string, database: string): Promise<unknown> {
    return this.lab.target.query(
      `INSERT INTO pgmigration.copy_task (migration, database, id, kind, table_schema, table_name, entry, state, rows_estimated)
       SELECT $1, $2, i, 'table', 'public', 'table_' || lpad(i::text, 4, '0'), 'x', 'queued', i
         FROM generate_series(1, 5000) i`,
      { values: [migration, database] },
    );
  }

  async clickAndAgree(page: Page, label: string, agree: string): Promise<void> {
    await page.getByRole("button", { name: label, exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: agree, exact: true }).click();
    await page.getByRole("dialog").waitFor({ state: "hidden" });
  }

  async picture(page: Page, name: string): Promise<void> {
    if (process.env.SCREENSHOTS === "1") await page.screenshot({ path: join(pictures, `${name}.png`) });
  }

  async #start(skip: () => void): Promise<void> {
    const browser = await startBrowser();
    if (typeof browser === "string") {
      process.stderr.write(`\n    NOT TESTED: ${browser}\n\n`);
      skip();
      return;
    }
    this.#browser = browser;
    this.#axe = await readFile(createRequire(__filename).resolve("axe-core/axe.min.js"), "utf8");
    this.#lab = await Lab.start();
  }
}

function started<T>(resource: T | undefined): T {
  if (!resource) throw new Error("the lab, the browser and the dashboard run only during the tests");
  return resource;
}
