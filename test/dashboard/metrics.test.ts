import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { MigrationStatus } from "../../provider/dist/status.js";
import { metricsText } from "../../provider/dist/dashboard/metrics.js";

const docs = join(__dirname, "../../docs");

interface Grafana {
  readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[];
}

/** Every metric has a help and a type even without a migration. */
const served = new Set([...metricsText([]).matchAll(/^# TYPE (\S+) (?:gauge|counter)$/gm)].map(([, name]) => name!));

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

  it("are all shown on the Grafana dashboard, which uses no others", () => {
    const { panels } = JSON.parse(readFileSync(join(docs, "grafana-dashboard.json"), "utf8")) as Grafana;
    const asked = panels.flatMap(({ title, targets }) =>
      targets.flatMap(({ expr }) => [...expr.matchAll(/pg_migration_\w+/g)].map(([name]) => ({ title, name }))),
    );
    for (const { title, name } of asked) assert(served.has(name), `${title} asks for ${name}`);
    assert.deepEqual([...new Set(asked.map(({ name }) => name))].sort(), [...served].sort());
  });
});
