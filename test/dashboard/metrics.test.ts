import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { MigrationStatus } from "../../provider/dist/status.js";
import { metricsText } from "../../provider/dist/dashboard/metrics.js";
import { grafanaQuestions, servedLabels } from "./grafana";

const docs = join(__dirname, "../../docs");

/** Every metric has a help and a type even without a migration. */
const served = new Set(servedLabels(metricsText([])).keys());

describe("the metrics", () => {
  it("are all documented, and no others are", () => {
    const page = readFileSync(join(docs, "dashboard.md"), "utf8");
    const about = /^`pg_migration_state[^]*?(?=\n\n)/m.exec(page)?.[0] ?? "";
    const words = [...about.matchAll(/`(?:pg_migration_)?([a-z_]+)(?:\{[a-z,]*\})?`/g)].map(([, name]) => name!);
    const documented = words.filter((name) => !["migration", "database", "target", "pg_migration_"].includes(name));
    assert.deepEqual(documented.map((name) => `pg_migration_${name}`).sort(), [...served].sort());
  });

  it("have no lag of a database that no worker measures", () => {
    const text = (isLagMeasured: boolean): string => {
      const database = { databaseName: "crm", isLagMeasured, lagBytes: 300, latencySeconds: 1.5, incomingChanges: 2 };
      const status = { state: "InProgress", worker: {}, currentSubStateDetails: { dbDetails: { crm: database } } };
      return metricsText([{ name: "m", status: status as unknown as MigrationStatus }]);
    };
    const samples = /^pg_migration_(?:lag_bytes|lag_seconds|incoming_changes)\{.*$/gm;
    assert.deepEqual(text(true).match(samples)?.length, 3);
    assert.equal(text(false).match(samples), null);
  });

  it("are all shown on the Grafana dashboard, which uses no others", async () => {
    const asked = (await grafanaQuestions()).flatMap(({ place, metrics }) => metrics.map((name) => ({ place, name })));
    for (const { place, name } of asked) assert(served.has(name), `${place} asks for ${name}`);
    assert.deepEqual([...new Set(asked.map(({ name }) => name))].sort(), [...served].sort());
    const { namesIn } = await import("./promql.mjs");
    assert.throws(() => namesIn('sum by (migration (pg_migration_state{target=~"$target"})'), /invalid PromQL/);
  });
});
