import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate, setTimeout as delay } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import { findingCatalogue } from "../../provider/src/finding-codes/finding-code";
import { inWords } from "../../provider/src/resource/fleet/fleet-summary";
import { PgFleetMigration, type FleetSummary, type PgFleetMigrationArgs } from "../../provider/src/index";

type Properties = Record<string, unknown>;

/** Declares a fleet; `outputs` returns each member's outputs. */
async function declareFleet(
  args: PgFleetMigrationArgs,
  outputs: (name: string) => Properties | Promise<Properties> = () => ({}),
): Promise<{ declared: Map<string, Properties>; summary: FleetSummary; errors: string[] }> {
  const errors: string[] = [];
  const restore = collectUnhandled(errors);
  const declared = new Map<string, Properties>();
  await pulumi.runtime.setMocks({
    newResource: async ({ name, inputs }: { name: string; inputs: Properties }) => {
      const isMember = "migrationName" in inputs;
      if (isMember) declared.set(name, inputs);
      return { id: name, state: { ...inputs, ...(isMember ? await outputs(name) : {}) } };
    },
    call: () => ({}),
  });
  const fleet = new PgFleetMigration("fleet", args);
  const summary = await new Promise<FleetSummary>((resolve) => {
    fleet.summary.apply((value) => resolve(value));
  });
  await pulumi.runtime.disconnect();
  await setImmediate();
  restore();
  return { declared, summary, errors };
}

/** Pulumi's program runner prints these errors, and ends the operation as failed. */
function collectUnhandled(errors: string[]): () => void {
  const others = process.listeners("unhandledRejection");
  const seen = new Set<unknown>();
  // One error rejects several outputs.
  const collect = (error: unknown): void => {
    if (!seen.has(error)) errors.push((error as Error).message);
    seen.add(error);
  };
  process.removeAllListeners("unhandledRejection").on("unhandledRejection", collect);
  return () => {
    process.off("unhandledRejection", collect);
    for (const other of others) process.on("unhandledRejection", other);
  };
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value), (_key, one: unknown) => secretValue(one));

const serversOf = (name: string) => ({
  source: { host: `${name}-old`, user: "u", password: "p" },
  target: { host: `${name}-new`, user: "u", password: "p" },
});

describe("PgFleetMigration", () => {
  const status = (state: string, error?: string) => ({
    currentStatus: {
      state,
      percent: 100,
      currentSubStateDetails: { dbDetails: { crm: { bytesTotal: 9, bytesCopied: 8, rowsCopied: 1 } } },
      error,
    },
  });

  it("summarizes members that failed or were not created together with the others", async () => {
    const states: Record<string, Properties> = {
      good: status("Succeeded"),
      bad: status("Failed", "no room"),
      absent: { currentStatus: null, failure: "the target does not answer" },
    };
    const migrations = Object.keys(states).map((name) => ({ name, dbsToMigrate: ["crm"], ...serversOf(name) }));
    const { summary, errors, declared } = await declareFleet({ migrations }, (name) => states[name] ?? {});
    assert.deepEqual([summary.total, summary.succeeded, summary.failed, summary.bytesCopied], [3, 1, 2, 16]);
    assert.equal(declared.get("bad")!.onFailure, "report", "which lets Pulumi continue with the others");
    assert.deepEqual(errors, [
      "fleet: 2 of 3 migrations failed; pulumi up attempts them again\n  bad: no room\n  absent: the target does not answer",
    ]);
    assert.deepEqual(
      summary.migrations.map(({ name, state, error }) => [name, state, error]),
      [
        ["bad", "Failed", "no room"],
        ["absent", "NotCreated", "the target does not answer"],
        ["good", "Succeeded", undefined],
      ],
    );
  });

  it("counts a canceled member apart from those that failed, and a failed one only once", async () => {
    const states: Record<string, Properties> = {
      canceled: status("Canceled"),
      waiting: { ...status("WaitingForUserAction"), failure: "the cutover was refused" },
    };
    const migrations = Object.keys(states).map((name) => ({ name, dbsToMigrate: ["crm"], ...serversOf(name) }));
    const { summary } = await declareFleet({ migrations }, (name) => states[name] ?? {});
    assert.deepEqual([summary.failed, summary.canceled, summary.waiting], [1, 1, 0]);
  });

  it("lists the findings once for each code, with its members, and members that need the user first", async () => {
    const finding = (state: string, code: string, message: string) => ({ state, code, message });
    const reporting = (state: string, ...messages: object[]) => {
      const { currentStatus } = status(state);
      const details = {
        serverLevelValidationDetails: [{ messages: messages.slice(0, 1) }],
        dbLevelValidationDetails: [{ databaseName: "crm", summary: [{ messages: messages.slice(1) }] }],
      };
      return {
        currentStatus: {
          ...currentStatus,
          currentSubStateDetails: { ...currentStatus.currentSubStateDetails, validationDetails: details },
        },
      };
    };
    const exists = finding("Failed", "603101", "the database crm exists");
    const [lenient, strict] = ["Warning", "Failed"].map((state) => finding(state, "603103", "the role app is missing"));
    const states: Record<string, Properties> = {
      done: reporting(
        "Succeeded",
        finding("Succeeded", "PGM-101", "fine"),
        finding("Warning", "PGM-9999", "new"),
        lenient!,
      ),
      waits: reporting("WaitingForUserAction", lenient!, lenient!),
      refused: reporting("ValidationFailed", exists, { ...exists, message: "the database shop exists" }),
      strict: reporting("ValidationFailed", strict!, exists),
    };
    const migrations = Object.keys(states).map((name) => ({ name, dbsToMigrate: ["crm"], ...serversOf(name) }));
    const { summary } = await declareFleet({ migrations }, (name) => states[name] ?? {});
    assert.deepEqual(
      summary.migrations.map(({ name, position }) => [name, position]),
      [
        ["refused", 3],
        ["strict", 4],
        ["waits", 2],
        ["done", 1],
      ],
    );
    assert.deepEqual(
      summary.findings.map(({ state, code, meaning, members }) => [state, code, meaning, members]),
      [
        ["Failed", "603103", findingCatalogue["603103"].meaning, ["strict", "waits", "done"]],
        ["Failed", "603101", findingCatalogue["603101"].meaning, ["refused", "strict"]],
        ["Warning", "PGM-9999", "new", ["done"]],
      ],
    );
    assert.equal(summary.findings[0]!.remedy, findingCatalogue["603103"].remedy);
    const lines = inWords(summary).split("\n");
    assert.match(lines[3]!, /^Failed +603103 +strict, waits, done +a Microsoft Entra role/);
    assert.equal(lines.filter((line) => line.includes("603101")).length, 2, "a line and its remedy");
  });

  it("estimates the rest of the copies, by queue and wave", async () => {
    const mb = 1024 * 1024;
    const sizes: Record<string, number> = { a: 500, b: 1000, c: 1500, later: 2000, done: 9000 };
    const known = (name: string): Properties => ({
      currentStatus: {
        ...{ state: "InProgress", percent: name === "done" ? 100 : 0 },
        currentSubStateDetails: {
          dbDetails: { crm: { bytesTotal: sizes[name]! * mb, bytesCopied: 0, rowsCopied: 0 } },
        },
      },
    });
    const migrations = Object.keys(sizes).map((name) => ({
      ...{ name, dbsToMigrate: ["crm"], wave: name === "later" ? 2 : 1 },
      ...serversOf(name),
    }));
    const { summary } = await declareFleet({ migrations, concurrency: 2 }, known);
    assert.equal(summary.bytesTotal, 14_000 * mb);
    // Queues of 50 MB/s: a and c, b and done; then later.
    assert.equal(summary.secondsLeft, 10 + 30 + 40);
  });

  describe("from a file", () => {
    let directory: string;
    before(async () => (directory = await mkdtemp(join(tmpdir(), "pg-migration-fleet-"))));
    after(() => rm(directory, { recursive: true }));

    const file = async (name: string, text: string): Promise<string> => {
      await writeFile(join(directory, name), text);
      return join(directory, name);
    };
    const login = { user: "migrator", password: "p" };
    const defaults = { source: login, target: login, dbsToMigrate: ["*"], tableJobs: 2 };

    it("reads CSV, and reports every wrong member once without stopping the others", async () => {
      process.env.FLEET_TEST_PASSWORD = "own";
      const migrations = await file(
        "fleet.csv",
        [
          "name,source.host,source.port,source.passwordEnv,target.host,dbsToMigrate,wave,source.password",
          "a,old-a,5433,FLEET_TEST_PASSWORD,new,crm shop,2,",
          "b,old-b,,,new,erp,,",
          "c,old-c",
          "d,old-d,,,new,erp,,",
          "b,old-e,,,new,other,,",
          "f,old-f,99999,,new,f,,",
          "g,old-g,,NOT_SET_VARIABLE,new,g,,",
          "h,old-h,,,new,h,,hunter2",
        ].join("\n"),
      );
      const { declared, summary } = await declareFleet({ migrations, defaults });
      delete process.env.FLEET_TEST_PASSWORD;
      assert.deepEqual([...declared.keys()].sort(), ["a", "b"]);
      assert.deepEqual(plain(declared.get("a")!.source), {
        ...{ host: "old-a", port: 5433, user: "migrator", password: "own" },
      });
      assert.deepEqual([declared.get("a")!.dbsToMigrate, declared.get("a")!.tableJobs], [["crm", "shop"], 2]);
      assert.deepEqual(
        summary.migrations.map(({ name, wave }) => [name, wave]),
        [
          ["b", 1],
          ["a", 2],
        ],
      );
      assert.equal(summary.problems.length, 6);
      const report = summary.problems.join("\n");
      for (const pattern of [
        /fleet\.csv:4: 2 cells/,
        /fleet\.csv:5: d and b migrate into the same database new:5432\/erp/,
        /fleet\.csv:6: two members are named b: the other one is at fleet\.csv:3/,
        /fleet\.csv:7: source\.port: /,
        /fleet\.csv:8: passwordEnv: the variable NOT_SET_VARIABLE is not set/,
        /fleet\.csv:9: source\.password: a list contains no passwords/,
      ])
        assert.match(report, pattern);
      assert(!report.includes("hunter2"));
    });

    it("refuses a key named __proto__, whose inputs would have no key of their own", async () => {
      const hidden = '{"name":"crm","dbsToMigrate":["crm"],"__proto__":{"overwriteDbsInTarget":true}}';
      const list = { "fleet.json": `[${hidden}]`, "fleet.csv": "name,__proto__.overwriteDbsInTarget\ncrm,true" };
      for (const [name, content] of Object.entries(list)) {
        const { declared, summary } = await declareFleet({ migrations: await file(name, content), defaults });
        assert.equal(declared.size, 0);
        assert.match(summary.problems.join(), /^fleet\.\w+:\d: __proto__: unknown input/);
      }
    });

    for (const [kind, deep] of [
      ["JSON", "[".repeat(100_000)],
      ["JSON with an end", `[{"name": "a", "source": ${"[".repeat(100_000)}${"]".repeat(100_000)}}]`],
      ["YAML", "- ".repeat(100_000)],
    ] as const)
      it(`refuses 100,000 levels of ${kind} with an error that names the file`, async () => {
        const migrations = await file("deep.json", deep);
        assert.throws(
          () => new PgFleetMigration("fleet", { migrations, defaults }),
          /^InvalidInputError: migrations: \S+deep\.json is nested too deeply: give a list of objects$/,
        );
      });

    it("reads the output of az and of aws", async () => {
      const azure = await file(
        "az.json",
        JSON.stringify([
          {
            ...{
              name: "crm",
              fullyQualifiedDomainName: "crm.postgres.database.azure.com",
              administratorLogin: "pgadmin",
            },
            ...{ type: "Microsoft.DBforPostgreSQL/servers", sku: { name: "GP_Gen5_2" } },
          },
          { name: "erp", fullyQualifiedDomainName: "erp.example", type: "Microsoft.DBforPostgreSQL/flexibleServers" },
        ]),
      );
      const target = { host: "new", ...login };
      const byDatabase = { ...defaults, target: pulumi.output(target) };
      const fromAzure = await declareFleet({ migrations: azure, defaults: byDatabase });
      assert.deepEqual(
        [plain(fromAzure.declared.get("crm")!.source), fromAzure.declared.get("crm")!.sourceType],
        [{ host: "crm.postgres.database.azure.com", user: "pgadmin@crm", password: "p" }, "PostgreSQLSingleServer"],
      );
      assert.deepEqual(plain(fromAzure.declared.get("erp")!.source), { host: "erp.example", ...login });
      const rds = await file(
        "rds.json",
        JSON.stringify({
          DBInstances: [
            {
              ...{ DBInstanceIdentifier: "shop", Engine: "postgres", MasterUsername: "root" },
              Endpoint: { Address: "shop.rds.example", Port: 5433 },
            },
            { DBInstanceIdentifier: "wiki", Engine: "mysql", MasterUsername: "root" },
          ],
        }),
      );
      const fromAws = await declareFleet({ migrations: rds, defaults: byDatabase });
      assert.deepEqual(plain(fromAws.declared.get("shop")!.source), {
        ...{ host: "shop.rds.example", port: 5433, user: "root", password: "p" },
      });
      assert.equal(fromAws.declared.get("shop")!.sourceType, "AWS_RDS");
      assert.deepEqual(fromAws.summary.problems, ["rds.json:1: wiki is no PostgreSQL server, but mysql"]);
    });
  });

  it("starts a wave after the former one, a few members at a time, with windows and cutover by wave", async () => {
    const running = new Set<string>();
    const ended: string[] = [];
    const overlaps: string[] = [];
    const run = async (name: string): Promise<Properties> => {
      running.add(name);
      if (running.size > 2) overlaps.push([...running].join());
      if (name.startsWith("second") && ended.filter((one) => one.startsWith("first")).length < 3) overlaps.push(name);
      await delay(20);
      running.delete(name);
      ended.push(name);
      return {};
    };
    const migrations = [
      { name: "second-1", wave: 2, migrationMode: "Online" as const },
      ...[1, 2, 3].map((i) => ({ name: `first-${i}`, migrationMode: i === 1 ? ("Online" as const) : undefined })),
      { name: "second-2", wave: 2 },
    ].map((member) => ({ dbsToMigrate: ["crm"], ...serversOf(member.name), ...member }));
    const cutoverWindow = { start: "2030-02-03T02:00", end: "2030-02-03T05:00", timeZone: "Europe/Berlin" };
    const waves = {
      1: { cutover: { maxLag: "5s" } },
      2: { windowStart: "2030-01-31T22:00:00Z", cutover: true, cutoverWindow },
    };
    const { declared } = await declareFleet({ migrations, waves, concurrency: 2 }, run);
    assert.deepEqual(overlaps, []);
    assert.deepEqual(ended.length, 5);
    const settings = ["first-1", "second-1", "second-2"].map((name) => [
      declared.get(name)!.migrationWindowStartTimeInUtc,
      declared.get(name)!.triggerCutover,
    ]);
    const { maxCutoverLag, verifyBeforeCutover } = declared.get("first-1")!;
    assert.deepEqual([maxCutoverLag, verifyBeforeCutover], ["5s", true]);
    const start = "2030-01-31T22:00:00Z";
    assert.deepEqual(settings, [
      [undefined, true],
      [start, true],
      [start, undefined],
    ]);
    assert.deepEqual(
      ["first-1", "second-1", "second-2"].map((name) => declared.get(name)!.cutoverWindow),
      [undefined, cutoverWindow, undefined],
    );
  });

  it("reports a wave without members, whose settings have no effect", async () => {
    const migrations = [{ name: "crm", wave: 2, dbsToMigrate: ["crm"], ...serversOf("crm") }];
    const { summary } = await declareFleet({ migrations, waves: { 2: {}, 20: { cutover: true } } });
    assert.deepEqual(summary.problems, [
      "waves.20: no member has this wave, so its settings have no effect; members have: 2",
    ]);
    assert.equal(summary.total, 1);
  });

  it("refuses what is wrong for a whole wave, with its name", () => {
    const [start, end] = ["2030-02-03T02:00", "2030-02-03T05:00"];
    for (const [args, expected] of [
      [
        { waves: { 2: { cutoverWindow: { start, end, timeZone: "Berlin" } } } },
        /^shops: waves\.2\.cutoverWindow\.timeZone: unknown/,
      ],
      [
        { waves: { 2: { cutoverWindow: { start: end, end: start } } } },
        /waves\.2\.cutoverWindow\.end: the window ends before/,
      ],
      [{ waves: { 1: { windowStart: "soon" } } }, /waves\.1\.windowStart: give a time in UTC/],
      [{ waves: { 1: { cutover: { maxLag: "x" } } } }, /waves\.1\.cutover: give true, false, or a largest lag/],
      [{ waves: { first: {} } }, /waves\.first: the number of a wave/],
      [{ concurrency: 0 }, /concurrency: give a whole number/],
    ] as const)
      assert.throws(
        () => new PgFleetMigration("shops", { migrations: [], ...(args as Partial<PgFleetMigrationArgs>) }),
        (error: Error) => expected.test(error.message),
        JSON.stringify(args),
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
