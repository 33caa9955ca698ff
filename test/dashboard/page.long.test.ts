import assert from "node:assert/strict";
import { assertSameContent } from "../support/content";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { until } from "../support/until";
import { PageScene } from "./page-scene";

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
describe("the dashboard's page, with decisions and many tables", () => {
  const scene = new PageScene();

  it("starts, verifies and cuts over one of two databases by clicking, and drops the rollback", async () => {
    const sql = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)";
    const names = [await scene.lab.database(sql), await scene.lab.database(sql)] as const;
    const resource = scene.declare();
    await resource.create(
      scene.lab.inputs(names, { migrationMode: "Online", startDataMigration: false, rollback: "keep" }),
    );
    const page = await scene.open(scene.dashboard.url);
    await page.getByRole("link", { name: resource.inputs.migrationName as string }).click();
    const click = (label: string, agree: string): Promise<void> => scene.clickAndAgree(page, label, agree);
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
    assert.deepEqual(await scene.barriers(page), []);
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
    const database = await scene.lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    await scene.lab.target.query(`CREATE DATABASE ${database} OWNER ${scene.lab.administrator.user}`);
    const resource = scene.declare();
    const start = new Date(Date.now() + 3600_000).toISOString();
    await resource.create(
      scene.lab.inputs([database], { waitForConfirmation: true, migrationWindowStartTimeInUtc: start }),
    );
    const page = await scene.open(scene.dashboard.url);
    await page.getByRole("link", { name: resource.inputs.migrationName as string }).click();
    await scene.clickAndAgree(page, "Overwrite databases", "Drop and replace them");
    await scene.clickAndAgree(page, "Open the window now", "Start now");
    await page.locator(".title").getByText("Succeeded").waitFor();
    await assertSameContent({ server: scene.lab.source, database }, { server: scene.lab.target, database });
  });

  it("sets up replication, keeps a rollback and returns to the source by clicking", async () => {
    const source = await EmbeddedServer.start({ major: 14, parameters: { wal_level: "replica" } });
    scene.undo.push(() => source.stop());
    const database = "returned";
    await source.query(`CREATE DATABASE ${database}`);
    await source.query("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)", { database });
    const resource = scene.declare();
    await resource.create(
      scene.lab.onlineInputs([database], {
        waitForConfirmation: true,
        source: { ...source.login, sslMode: "Disable" },
      }),
    );
    const page = await scene.open(scene.dashboard.url);
    await page.getByRole("link", { name: resource.inputs.migrationName as string }).click();
    await scene.clickAndAgree(page, "Set up replication", "Change the source's settings");
    await until("the worker has changed wal_level", async () =>
      /set to logical/.test(await resource.messageOf(database)),
    );
    await source.restart();
    await scene.clickAndAgree(page, "Keep a rollback", "Keep a rollback");
    await scene.clickAndAgree(page, "Cut over", "Cut over now");
    await page.getByRole("button", { name: "Return to the source" }).waitFor();
    await scene.lab.queryTarget(database, "INSERT INTO t VALUES (2)");
    await scene.clickAndAgree(page, "Return to the source", "Return now");
    await page.locator(".title").getByText("Canceled").waitFor();
    assert.equal((await source.query("SELECT FROM t", { database })).length, 2);
    await assertSameContent({ server: source, database }, { server: scene.lab.target, database });
  });

  it("scrolls through and sorts 5,000 tables with few rows in the document, on a dark phone", async () => {
    const database = await scene.lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = scene.declare();
    await resource.create(scene.lab.inputs([database], { migrationOption: "Validate" }));
    const name = resource.inputs.migrationName as string;
    await scene.recordTables(name, database);
    await scene.lab.target.query(
      `UPDATE pgmigration.copy_task SET state = 'completed', rows_copied = 123456789
        WHERE migration = $1 AND table_name = 'table_4711'`,
      { values: [name] },
    );
    const page = await scene.open(scene.dashboard.url, { viewport: { width: 390, height: 800 }, colorScheme: "dark" });
    await page.getByRole("link", { name }).click();
    await page.getByText("table_0001").waitFor();
    assert.equal(await page.locator("[aria-rowcount]").getAttribute("aria-rowcount"), "5001");
    assert.deepEqual(await scene.barriers(page), []);
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
    await scene.picture(page, "phone");
    await page.goto(new URL(`/api/migrations/${name}/report.html`, page.url()).href);
    assert.equal(await page.locator("#tables tbody tr").count(), 5000);
    assert.equal(await page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0);
    await page.goBack();
    await page.getByRole("link", { name: "pg-migration" }).click();
    await page.getByRole("link", { name }).waitFor();
    const card = page.getByRole("row", { name: new RegExp(name) });
    assert(await card.getByText("Succeeded").isVisible());
    assert.equal((await card.innerText()).split("\n").filter((line) => line.trim() !== "").length, 3);
    assert.deepEqual(await scene.barriers(page), []);
  });
});
