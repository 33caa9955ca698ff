import assert from "node:assert/strict";
import { exitCodes } from "../../provider/dist/cli/exit-code.js";
import { startDashboard } from "../../provider/dist/dashboard/server.js";
import { FleetReader } from "../../provider/dist/fleet/fleet-reader.js";
import { FleetWebhook } from "../../provider/dist/fleet/fleet-webhook.js";
import { listWithOverviews } from "../../provider/dist/fleet/list-overviews.js";
import type { Target } from "../../provider/dist/fleet/target.js";
import { WebhookSender } from "../../provider/dist/webhook/webhook-sender.js";
import { CommandLine } from "../cli/command";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { secretsIn } from "../support/secrets";
import { until } from "../support/until";
import { WebhookReceiver } from "./webhook-receiver";

const secret = "a secret of the webhook of many targets";

describe("the webhook of many targets", () => {
  let lab: Lab;
  let command: CommandLine;
  let receiver: WebhookReceiver;
  const resources: Resource[] = [];
  const undo: (() => Promise<void>)[] = [];

  before(async () => {
    lab = await Lab.start();
    command = await CommandLine.in(lab);
  });
  beforeEach(async () => {
    receiver = await WebhookReceiver.start();
  });
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
    for (const resource of resources.splice(0)) await resource.destroy();
    await receiver.stop();
  });
  after(async () => {
    await command.close();
    await lab.stop();
  });

  const targetAt = (name: string, port: number): Target => ({
    name,
    address: { target: { ...lab.administrator, port, sslMode: "Disable" }, maintenanceDatabase: "postgres" },
  });
  const create = async (migrationName: string, inputs: Record<string, unknown> = {}): Promise<Resource> => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const resource = new Resource();
    resources.push(resource);
    const created = resource.create(lab.inputs([database], { migrationName, ...inputs }));
    await created.catch(() => undefined);
    return resource;
  };
  const received = (): string[] =>
    receiver.deliveries.map(({ payload: { type, data } }) =>
      [type, data.targetName, data.migration, data.state].filter((text) => text !== undefined).join(" "),
    );

  it("receives each state once from a dashboard without a page, signed, also while another target does not answer", async () => {
    await create("before");
    const targets = [targetAt("berlin", lab.administrator.port), targetAt("closed", 1)];
    const readTargets = () => Promise.resolve({ targets, problems: [] });
    const url = receiver.url.replace("//", "//hook:p%40ss-of-the-hook@");
    const fleet = { name: "targets.csv", first: await readTargets(), readTargets, webhook: { url, secret } };
    const options = { address: "127.0.0.1", port: 0, token: "a token for the tests", allowedHosts: [], readOnly: true };
    const dashboard = await startDashboard({ fleet, ...options });
    undo.push(() => dashboard.close());
    const online = await create("online", { migrationMode: "Online" });
    await until("the wait is delivered", () =>
      received().includes("migration.state berlin online WaitingForUserAction"),
    );
    await online.update({ triggerCutover: true });
    await until("the end is delivered", () => received().includes("migration.state berlin online Succeeded"));
    await create("failed", { dbsToMigrate: ["absent"] });
    await until("the failure is delivered", () => receiver.states.includes("ValidationFailed / Completed"));
    const { data } = receiver.deliveries.find(({ payload }) => payload.data.state === "ValidationFailed")!.payload;
    assert.match(data.error ?? "", /validation found/);
    assert.deepEqual(
      [data.source, data.target],
      [`${lab.source.login.host}:${lab.source.port}`, `${lab.administrator.host}:${lab.administrator.port}`],
    );
    const states = receiver.deliveries.map(
      ({ payload }) => `${payload.data.migration} ${JSON.stringify(payload.data)}`,
    );
    assert.deepEqual([...new Set(states)], states, "each state once");
    assert(!received().some((text) => text.includes("before")), "a success before the start is no news");
    for (const { headers } of receiver.deliveries) {
      assert.equal(headers.authorization, `Basic ${Buffer.from("hook:p@ss-of-the-hook").toString("base64")}`);
      assert.match(String(headers["webhook-signature"]), /^v1,/);
    }
    const texts = receiver.deliveries.map(({ body }) => body);
    const secrets = [secret, "p@ss-of-the-hook", lab.source.login.password, lab.administrator.password];
    assert.deepEqual(await secretsIn(secrets, { lab, texts }), []);
  });

  it("receives a target that was unreachable for 30 seconds, and its recovery, each once", async () => {
    await create("crm", { migrationMode: "Online" });
    const reader = new FleetReader(
      [targetAt("berlin", lab.administrator.port)],
      (store) => (store ? listWithOverviews(store) : Promise.resolve([])),
      "test",
    );
    const webhook = new FleetWebhook({ url: receiver.url });
    undo.push(
      () => reader.close(),
      () => webhook.close(),
    );
    const observe = async (laterMs = 0): Promise<void> => webhook.observe(await reader.poll(), Date.now() + laterMs);
    const reading = (): (typeof reader.readings)[number] => reader.readings[0]!;
    await observe();
    await lab.target.halt();
    try {
      await until("the target fails", async () => {
        await observe();
        return reading().failure !== undefined;
      });
      await observe(29_000);
      await observe(31_000);
      await observe(32_000);
    } finally {
      await lab.target.resume();
    }
    await until("the target answers", async () => {
      await observe();
      return reading().failure === undefined;
    });
    await observe();
    await until("the recovery is delivered", () => received().includes("target.reachable berlin"));
    const ofTarget = receiver.deliveries.filter(({ payload }) => payload.type.startsWith("target."));
    assert.deepEqual(
      ofTarget.map(({ payload }) => payload.type),
      ["target.unreachable", "target.reachable"],
    );
    const [unreachable, reachable] = ofTarget.map(({ payload: { data } }) => data);
    assert.match(unreachable!.error ?? "", /was lost|ECONNREFUSED/);
    assert.equal(unreachable!.unreachableSince, reachable!.unreachableSince);
    assert.equal(reachable!.error, undefined);
  });

  it("receives the recovery of a target whose entry has changed only when it answers", async () => {
    const { port } = lab.administrator;
    const reader = new FleetReader([targetAt("berlin", 1)], () => Promise.resolve([]), "test");
    const webhook = new FleetWebhook({ url: receiver.url });
    undo.push(() => reader.close());
    webhook.observe(await reader.poll(), Date.now() + 31_000);
    reader.setTargets([targetAt("berlin", 2)]);
    webhook.observe(reader.readings);
    reader.setTargets([targetAt("berlin", port)]);
    webhook.observe(await reader.poll());
    await webhook.close();
    assert.deepEqual(
      receiver.deliveries.map(({ payload: { type, data } }) => `${type} ${data.target}`),
      [`target.unreachable ${lab.administrator.host}:1`, `target.reachable ${lab.administrator.host}:${port}`],
    );
  });

  it("receives a worker that is lost for 30 seconds, also before the start, but not a migration that waits for its first one", async () => {
    const target = targetAt("berlin", 5432);
    const webhook = new FleetWebhook({ url: receiver.url });
    undo.push(() => webhook.close());
    const item = (name: string, state: "running" | "lost", hadWorker: boolean) => ({
      ...{ id: name, name, migrationMode: "Online" as const, migrationOption: "Migrate" as const },
      ...{ sourceType: "OnPremises", sourceDbServerResourceId: "db1:5432@app" },
      ...{ sourceDbServerFullyQualifiedDomainName: "db1", targetDbServerFullyQualifiedDomainName: "db2" },
      ...{ dbsToMigrate: ["crm"], overwriteDbsInTarget: false, tags: {}, startedOn: "", endedOn: undefined },
      currentStatus: { state: "InProgress" as const, worker: { state } },
      hadWorker,
      overview: { subState: "MigratingData" as const, percent: 1, lagBytes: null, lagSeconds: null, different: 0 },
      findings: [],
    });
    const observe = (worker: "running" | "lost", now: number): void =>
      webhook.observe(
        [
          {
            target,
            ...{
              content: [item("crm", worker, true), item("left", "lost", true), item("queued", "lost", false)],
              readAt: now,
            },
            ...{ failure: undefined, failingSince: undefined },
          },
        ],
        now,
      );
    observe("running", 0);
    for (const now of [1000, 30_999, 31_000, 90_000]) observe("lost", now);
    observe("running", 91_000);
    observe("lost", 92_000);
    observe("running", 93_000);
    await webhook.close();
    assert.deepEqual(
      receiver.deliveries
        .filter(({ payload }) => payload.type === "migration.worker")
        .map(({ payload: { data } }) => [data.migration, (data as { worker?: string }).worker]),
      [
        ["left", "lost"],
        ["crm", "lost"],
        ["crm", "running"],
      ],
    );
  });

  it("receives a failure from pg-migration watch, and needs a valid URL, which no message repeats", async () => {
    await create("crm", { dbsToMigrate: ["absent"] });
    const { host, port } = lab.administrator;
    const list = await command.file("targets.csv", `name,host,port\nmain,${host},${port}\n`);
    const watch = ["watch", "--targets", list, "--webhook"];
    const run = (url: string | undefined) => command.run(watch, { PG_MIGRATION_WEBHOOK_URL: url });
    assert.equal((await run(receiver.url)).code, exitCodes.failed);
    assert.deepEqual(receiver.states, ["ValidationFailed / Completed"]);
    for (const [url, message] of [
      [undefined, /PG_MIGRATION_WEBHOOK_URL: is missing/],
      ["ftp://token-in-the-address", /PG_MIGRATION_WEBHOOK_URL: give an address that starts with https/],
    ] as const) {
      const { code, stderr } = await run(url);
      assert.equal(code, 2);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /token-in-the-address/);
    }
    const single = await command.run(["watch", "--webhook", "--name", "crm"]);
    assert.equal(single.code, 2);
    assert.match(single.stderr, /--webhook: needs --targets/);
  });
});

describe("a webhook that does not keep up", () => {
  it("keeps the latest 1000 changes, and warns of each that it drops", async () => {
    const receiver = await WebhookReceiver.start(() => "hang");
    const warnings: string[] = [];
    const sender = new WebhookSender({ url: receiver.url }, (text) => Promise.resolve(void warnings.push(text)));
    const data = { target: "db2:5432", targetName: "berlin", unreachableSince: "2030-01-31T22:00:00.000Z" };
    for (let i = 0; i < 1002; i++) sender.send({ type: "target.unreachable", data }, `change ${i}`);
    assert.deepEqual(
      warnings.map((text) => text.split(":")[0]),
      ["the webhook did not receive change 1", "the webhook did not receive change 2"],
    );
    await sender.close(AbortSignal.abort());
    await receiver.stop();
  });
});
