import assert from "node:assert/strict";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { ListProblem, Target } from "../../provider/dist/fleet/target.js";
import { fleetSchema } from "../../provider/dist/dashboard/answer-schemas.js";
import { startDashboard, type Dashboard } from "../../provider/dist/dashboard/server.js";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";
import { grafanaQuestions, servedLabels } from "./grafana";

const token = "a token for the tests";

describe("the dashboard of many targets", () => {
  let lab: Lab;
  let silent: Server;
  let dashboard: Dashboard;
  let listed: Target[];
  const problems: ListProblem[] = [{ place: "targets.csv:4", reason: "2 cells, but the first line has 5 names" }];
  const sockets: Socket[] = [];
  const resources: Resource[] = [];

  before(async () => {
    lab = await Lab.start();
    // Accepts connections, and never answers.
    silent = createServer((socket) => sockets.push(socket.on("error", () => undefined)));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  });

  beforeEach(async () => {
    listed = [
      targetAt("a main", lab.administrator.port),
      targetAt("b/closed", 1),
      targetAt("c-silent", (silent.address() as AddressInfo).port),
    ];
    const readTargets = () => Promise.resolve({ targets: listed, problems });
    dashboard = await startDashboard({
      fleet: { name: "targets.csv", first: await readTargets(), readTargets },
      address: "127.0.0.1",
      port: 0,
      token,
      allowedHosts: [],
      readOnly: false,
    });
  });

  afterEach(async () => {
    await dashboard.close();
    for (const resource of resources.splice(0)) await resource.destroy();
  });

  after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => silent.close(resolve));
    await lab.stop();
  });

  const targetAt = (name: string, port: number): Target => ({
    name,
    address: { target: { ...lab.administrator, port, sslMode: "Disable" }, maintenanceDatabase: "postgres" },
  });

  const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(new URL(path, dashboard.url), { ...init, headers: { authorization: `Bearer ${token}` } });

  async function create(name: string): Promise<Resource> {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const resource = new Resource();
    resources.push(resource);
    await resource.create(lab.onlineInputs([database], { migrationName: name }));
    return resource;
  }

  it("lists all targets and the errors of the list, although some targets do not answer", async () => {
    await create("crm");
    const { rows, ...list } = fleetSchema.parse(await (await ask("/api/fleet")).json());
    assert.deepEqual(list, { problems, listFailure: "" });
    assert.deepEqual(
      rows.map(({ target, migration, state }) => [target, migration, state]),
      [
        ["b/closed", null, null],
        ["a main", "crm", "WaitingForUserAction"],
        ["c-silent", null, null],
      ],
    );
    assert.match(rows[0]!.unreachable ?? "", /ECONNREFUSED/);
    assert.equal(rows[2]!.readAt, null, "it is not read yet");
    assert.equal((await ask("/healthz")).status, 200, "one target can be read");
    assert.match(await (await ask("/api")).text(), /"\/api\/fleet"/);
  });

  it("serves the metrics of all targets that answer, and names the others", async () => {
    await create("crm");
    let text = "";
    await until("the lag is measured", async () =>
      (text = await (await ask("/metrics")).text()).includes("pg_migration_lag_seconds{"),
    );
    assert.match(text, /^pg_migration_target_up\{target="a main"\} 1$/m);
    assert.match(text, /^pg_migration_target_up\{target="b\/closed"\} 0$/m);
    assert.match(text, /^pg_migration_target_up\{target="c-silent"\} 0$/m);
    assert.match(text, /^pg_migration_state\{target="a main",migration="crm",state="WaitingForUserAction"\} 1$/m);
    assert.match(text, /^pg_migration_attention\{target="a main",migration="crm"\} 2$/m);
    assert.match(text, /^pg_migration_rows_copied\{target="a main",migration="crm",database="\w+"\} 1$/m);
    assert.match(text, /^pg_migration_copied_ratio\{target="a main",migration="crm"\} 1$/m);
    const served = servedLabels(text);
    for (const { place, metrics, labels } of await grafanaQuestions())
      for (const metric of metrics)
        for (const label of labels)
          assert(served.get(metric)?.has(label), `${place} of the Grafana dashboard asks for ${label} of ${metric}`);
  });

  it("serves the API of each target below its name, and changes a migration there", async () => {
    const resource = await create("crm");
    const base = `/targets/${encodeURIComponent("a main")}`;
    assert.equal((await ask(`${base}/api/migrations/crm`)).status, 200);
    assert.equal((await ask("/api/migrations/crm")).status, 404, "without a target");
    for (const path of [
      "/targets/none/api/migrations",
      "/targets/%E0/api/migrations",
      "/targets//api/migrations",
      base,
    ])
      assert.equal((await ask(path)).status, 404, path);
    assert.equal((await fetch(new URL(`${base}/api/migrations`, dashboard.url))).status, 401, "without the token");
    assert.equal((await ask(`/targets/${encodeURIComponent("b/closed")}/api/migrations`)).status, 503);
    assert.equal((await ask(`${base}/api/migrations/crm/cutover`, { method: "POST" })).status, 202);
    await until("it is cut over", async () => (await resource.refresh()).state === "Succeeded");
  });

  it("sends pages only the targets that have changed", async () => {
    const abort = new AbortController();
    const response = await ask("/api/events", { signal: abort.signal });
    let text = "";
    const reading = (async () => {
      for await (const chunk of response.body!) text += Buffer.from(chunk as Uint8Array).toString();
    })().catch(() => undefined);
    const sent = (): { all: boolean; targets: { target: string; rows: { migration: string | null }[] }[] }[] =>
      [...text.matchAll(/^event: fleet\ndata: (.*)\n\n/gm)].map(([, data]) => JSON.parse(data!) as never);
    await until("the page has all targets", () => sent()[0]?.targets.length === 3);
    assert.equal(sent()[0]!.all, true);
    assert.match(text, /event: list\ndata: .*targets\.csv:4/);
    await create("crm");
    await until("the page has the migration", () =>
      sent().some(({ all, targets }) => !all && targets.some(({ rows }) => rows[0]?.migration === "crm")),
    );
    const changes = sent().filter(({ all }) => !all);
    assert(
      changes.some(({ targets }) => targets.length === 1 && targets[0]!.target === "a main"),
      text,
    );
    abort.abort();
    await reading;
  });
});
