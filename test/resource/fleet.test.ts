import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { PgFleetMigration, type FleetSummary, type PgFleetMigrationArgs } from "../../provider/src/index";

type Properties = Record<string, unknown>;

/** Declares a fleet; `outputs` returns each member's outputs. */
async function declareFleet(
  args: PgFleetMigrationArgs,
  outputs: (name: string) => Properties = () => ({}),
): Promise<{ declared: Map<string, Properties>; summary: FleetSummary }> {
  const declared = new Map<string, Properties>();
  await pulumi.runtime.setMocks({
    newResource: ({ name, inputs }: { name: string; inputs: Properties }) => {
      if ("migrationName" in inputs) declared.set(name, inputs);
      return { id: name, state: { ...inputs, ...outputs(name) } };
    },
    call: () => ({}),
  });
  const fleet = new PgFleetMigration("fleet", args);
  const summary = await new Promise<FleetSummary>((resolve) => {
    fleet.summary.apply((value) => resolve(value));
  });
  await pulumi.runtime.disconnect();
  return { declared, summary };
}

describe("PgFleetMigration", () => {
  const status = (state: string, error?: string) => ({
    currentStatus: {
      state,
      percent: 100,
      currentSubStateDetails: { dbDetails: { crm: { bytesCopied: 8, rowsCopied: 1 } } },
      error,
    },
  });

  it("summarizes members that failed or were not created together with the others", async () => {
    const states: Record<string, Properties> = {
      good: status("Succeeded"),
      bad: status("Failed", "no room"),
      absent: { currentStatus: null },
    };
    const migrations = Object.keys(states).map((name) => ({ name, dbsToMigrate: ["crm"] }));
    const { summary } = await declareFleet({ migrations }, (name) => states[name] ?? {});
    assert.deepEqual([summary.total, summary.succeeded, summary.failed, summary.bytesCopied], [3, 1, 2, 16]);
    assert.deepEqual(
      summary.migrations.map(({ name, state, error }) => [name, state, error]),
      [
        ["good", "Succeeded", undefined],
        ["bad", "Failed", "no room"],
        ["absent", "NotCreated", undefined],
      ],
    );
  });

  it("merges a member's servers and credentials with the defaults, key by key", async () => {
    const { declared } = await declareFleet({
      defaults: {
        source: { user: "migrator", password: "shared", sslMode: "Require" },
        target: pulumi.output({ host: "target", user: "admin", password: "p" }),
        secretParameters: { adminCredentials: { targetServerPassword: "t" }, sourceServerUsername: "s" },
        dbsToMigrate: ["*", "!scratch"],
      },
      migrations: [
        { name: "a", source: { host: "db-a" }, target: { port: 6000 } },
        {
          name: "b",
          source: { host: "db-b", auth: { kind: "command", command: "print-it" } },
          secretParameters: { sourceServerUsername: "own" },
        },
      ],
    });
    const plain = (value: unknown): unknown =>
      JSON.parse(JSON.stringify(value), (_key, one: unknown) => secretValue(one));
    assert.deepEqual(plain(declared.get("a")!.source), {
      user: "migrator",
      password: "shared",
      sslMode: "Require",
      host: "db-a",
    });
    assert.deepEqual(plain(declared.get("a")!.target), { host: "target", user: "admin", password: "p", port: 6000 });
    assert.deepEqual(plain(declared.get("b")!.source), {
      ...{ user: "migrator", sslMode: "Require", host: "db-b", auth: { kind: "command", command: "print-it" } },
    });
    assert.deepEqual(declared.get("b")!.dbsToMigrate, ["*", "!scratch"], "which each member resolves on its source");
    assert.deepEqual(plain(declared.get("b")!.secretParameters), {
      adminCredentials: { targetServerPassword: "t" },
      sourceServerUsername: "own",
    });
  });
});

/** Mocks receive secrets in a wrapper. */
function secretValue(one: unknown): unknown {
  const wrapped = one as { value?: unknown } | null;
  const isSecret = typeof one === "object" && wrapped !== null && "4dabf18193072939515e22adb298388d" in wrapped;
  return isSecret ? wrapped.value : one;
}
