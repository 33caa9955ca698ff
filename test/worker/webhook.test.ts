import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { StateWebhook } from "../../provider/dist/worker/monitoring/state-webhook.js";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { secretsIn } from "../support/secrets";
import { until } from "../support/until";
import { WebhookReceiver } from "../targets/webhook-receiver";

describe("the webhook", () => {
  let lab: Lab;
  let receiver: WebhookReceiver;
  let resource: Resource;
  let database: string;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  beforeEach(async () => {
    resource = new Resource();
    database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
  });

  afterEach(async () => {
    await resource.destroy().finally(() => receiver.stop());
  });

  const events = async (): Promise<string> => {
    const rows = await lab.target.query<{ message: string }>("SELECT message FROM pgmigration.event ORDER BY id");
    return rows.map(({ message }) => message).join("\n");
  };

  it("receives each change of state in order, signed, and URL and secret appear nowhere", async () => {
    const secret = `whsec_${Buffer.from("a key that is hard to guess").toString("base64")}`;
    receiver = await WebhookReceiver.start();
    await resource.create(lab.inputs([database], { migrationMode: "Online", webhook: { url: receiver.url, secret } }));
    assert.deepEqual(
      await secretsIn([secret, "token-in-the-address"], { lab, texts: [JSON.stringify(resource.status)] }),
      [],
    );
    await resource.update({ triggerCutover: true });
    await until("the last change is delivered", () => receiver.states.at(-1) === "Succeeded / Completed");
    assert.deepEqual(receiver.states, [
      "InProgress / ValidationInProgress",
      "InProgress / MigratingData",
      "WaitingForUserAction / WaitingForCutoverTrigger",
      "InProgress / CompletingMigration",
      "Succeeded / Completed",
    ]);
    for (const { headers, body, payload } of receiver.deliveries) {
      const { state: _state, subState: _subState, ...subject } = payload.data;
      assert.deepEqual(subject, {
        migration: resource.inputs.migrationName,
        source: `${lab.source.login.host}:${lab.source.port}`,
        target: `${lab.administrator.host}:${lab.administrator.port}`,
        databases: [database],
      });
      const { "webhook-id": id, "webhook-timestamp": timestamp } = headers as Record<string, string>;
      const signature = createHmac("sha256", "a key that is hard to guess").update(`${id}.${timestamp}.${body}`);
      assert.equal(headers["webhook-signature"], `v1,${signature.digest("base64")}`);
      assert(Math.abs(Date.now() / 1000 - Number(timestamp)) < 300);
    }
    assert.equal(new Set(receiver.deliveries.map(({ headers }) => headers["webhook-id"])).size, 5);
    const texts = receiver.deliveries.map(({ body }) => body);
    assert.deepEqual(await secretsIn([lab.source.login.password, lab.administrator.password], { lab, texts }), []);
  });

  it("does not delay the migration if it does not answer", async () => {
    receiver = await WebhookReceiver.start(() => "hang");
    const { state } = await resource.create(lab.inputs([database], { webhook: { url: receiver.url } }));
    assert.equal(state, "Succeeded");
    await until("a delivery arrives", () => receiver.states.length > 0);
    assert.equal(receiver.states[0], "InProgress / ValidationInProgress");
  });

  it("receives a failed delivery again, and a refused one causes a warning", async () => {
    receiver = await WebhookReceiver.start((count) => (count === 1 ? 503 : 400));
    await resource.create(lab.inputs([database], { migrationOption: "Validate", webhook: { url: receiver.url } }));
    await until(
      "both warnings are recorded",
      async () => (await events()).match(/the webhook did not receive/g)?.length === 2,
    );
    assert.deepEqual(receiver.states, [
      "InProgress / ValidationInProgress",
      "InProgress / ValidationInProgress",
      "Succeeded / Completed",
    ]);
    assert.equal(receiver.deliveries[0]!.headers["webhook-id"], receiver.deliveries[1]!.headers["webhook-id"]);
    assert.equal(receiver.deliveries[0]!.headers["webhook-signature"], undefined);
    assert.match(await events(), /the webhook did not receive Succeeded \/ Completed: it answered 400/);
    assert(!(await events()).includes("token-in-the-address"));
  });

  it("receives the error of a failed migration, and of a failed database while the others continue", async () => {
    receiver = await WebhookReceiver.start();
    await lab.target.query(`CREATE DATABASE ${database} OWNER ${lab.administrator.user}`);
    await Resource.failure(resource.create(lab.inputs([database], { webhook: { url: receiver.url } })));
    await until("the failure is delivered", () => receiver.states.at(-1) === "ValidationFailed / Completed");
    assert.match(receiver.deliveries.at(-1)!.payload.data.error ?? "", /validation found 1 problem/);
    const subject = receiver.deliveries[0]!.payload.data;
    const webhook = new StateWebhook(
      { url: receiver.url },
      () => subject,
      () => Promise.resolve(),
    );
    for (const error of [undefined, undefined, "crm: failed", "crm: failed"])
      webhook.state("WaitingForUserAction", "WaitingForCutoverTrigger", error);
    await webhook.close(new AbortController().signal);
    const errors = receiver.deliveries.slice(-2).map(({ payload }) => payload.data.error);
    assert.deepEqual(errors, [undefined, "crm: failed"]);
  });

  it("receives the credentials of its URL as Basic authentication, which no record or log contains", async () => {
    receiver = await WebhookReceiver.start();
    const url = receiver.url.replace("//", "//hook:p%40ss-of-the-hook@");
    await resource.create(lab.inputs([database], { webhook: { url } }));
    await until("the last change is delivered", () => receiver.states.at(-1) === "Succeeded / Completed");
    const expected = `Basic ${Buffer.from("hook:p@ss-of-the-hook").toString("base64")}`;
    assert.deepEqual([...new Set(receiver.deliveries.map(({ headers }) => headers.authorization))], [expected]);
    const secrets = ["p%40ss-of-the-hook", "p@ss-of-the-hook", expected];
    assert.deepEqual(await secretsIn(secrets, { lab, texts: [JSON.stringify(resource.status)] }), []);
  });

  it("answers with a redirect: it is not followed or retried, and the next deliveries arrive", async () => {
    receiver = await WebhookReceiver.start((count) => (count === 1 ? 307 : 200));
    await resource.create(lab.inputs([database], { migrationOption: "Validate", webhook: { url: receiver.url } }));
    await until("the next change is delivered", () => receiver.states.at(-1) === "Succeeded / Completed");
    assert.deepEqual(receiver.states, ["InProgress / ValidationInProgress", "Succeeded / Completed"]);
    assert.match(
      await events(),
      /did not receive InProgress \/ ValidationInProgress: it answered 307 \(redirects are not/,
    );
  });
});

describe("an unreachable webhook", () => {
  it("is reported without the credentials of its URL", async () => {
    const reports: string[] = [];
    const webhook = new StateWebhook(
      { url: "http://hook:p%ss-of-the-hook@127.0.0.1:9/" },
      () => ({ migration: "m", source: "s", target: "t", databases: [] }),
      (text) => Promise.resolve(void reports.push(text)),
    );
    webhook.state("InProgress", "MigratingData", undefined);
    await webhook.close(AbortSignal.abort());
    assert.equal(reports.length, 1);
    assert.doesNotMatch(reports[0]!, /hook:|ss-of-the-hook/);
  });
});
