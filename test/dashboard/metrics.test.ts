import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { metricsText } from "../../provider/dist/dashboard/metrics.js";

const docs = join(__dirname, "../../docs");

interface Grafana {
  readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[];
}

/** Tells that a metric is there even when there is no migration: its help and type are. */
const served = new Set([...metricsText([]).matchAll(/^# TYPE (\S+) (?:gauge|counter)$/gm)].map(([, name]) => name!));

describe("the metrics", () => {
  it("are documented, each of them, and no other", () => {
    const page = readFileSync(join(docs, "dashboard.md"), "utf8");
    const about = /^`pg_migration_state[^]*?(?=\n\n)/m.exec(page)?.[0] ?? "";
    const words = [...about.matchAll(/`(?:pg_migration_)?([a-z_]+)(?:\{[a-z,]*\})?`/g)].map(([, name]) => name!);
    const documented = words.filter((name) => !["migration", "database", "pg_migration_"].includes(name));
    assert.deepEqual(documented.map((name) => `pg_migration_${name}`).sort(), [...served].sort());
  });

  it("are all that the Grafana dashboard asks for, and it shows each of them", () => {
    const { panels } = JSON.parse(readFileSync(join(docs, "grafana-dashboard.json"), "utf8")) as Grafana;
    const asked = panels.flatMap(({ title, targets }) =>
      targets.flatMap(({ expr }) => [...expr.matchAll(/pg_migration_\w+/g)].map(([name]) => ({ title, name }))),
    );
    for (const { title, name } of asked) assert(served.has(name), `${title} asks for ${name}`);
    assert.deepEqual([...new Set(asked.map(({ name }) => name))].sort(), [...served].sort());
  });
});
