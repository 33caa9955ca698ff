import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status?: { readonly code?: number; readonly message?: string };
}

interface Export {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly Span[] }[] }[];
}

/** Exports over OTLP to a real HTTP server. */
describe("OpenTelemetry traces", () => {
  let lab: Lab;
  let server: Server;
  let resource: Resource;
  let spans: Span[];
  let bodies: string[];

  before(async () => {
    lab = await Lab.start();
    server = createServer((request, response) => {
      void text(request).then((body) => {
        assert.equal(request.url, "/v1/traces");
        bodies.push(body);
        const { resourceSpans } = JSON.parse(body) as Export;
        spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)));
        response.writeHead(200, { "content-type": "application/json" }).end("{}");
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });

  after(async () => {
    server.closeAllConnections();
    server.close();
    await lab.stop();
  });

  beforeEach(() => {
    spans = [];
    bodies = [];
    resource = new Resource();
    process.env.OTEL_EXPORTER_OTLP_ENDPOINT = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    process.env.OTEL_EXPORTER_OTLP_PROTOCOL = "http/json";
  });

  afterEach(async () => {
    delete process.env.OTEL_EXPORTER_OTLP_ENDPOINT;
    delete process.env.OTEL_EXPORTER_OTLP_PROTOCOL;
    await resource.destroy();
  });

  const named = (name: string): Span => {
    const found = spans.filter((span) => span.name === name);
    assert.equal(found.length, 1, `${name} among ${spans.map((span) => span.name).join(", ")}`);
    return found[0]!;
  };

  it("contain the migration, its phases, the steps of each database and of the cutover", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    await resource.update({ triggerCutover: true });
    const root = `migration ${resource.inputs.migrationName as string}`;
    await until("the whole trace is received", () => spans.some(({ name }) => name === root));

    const migration = named(root);
    assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, 1, "one trace");
    for (const phase of ["ValidationInProgress", "MigratingData", "WaitingForCutoverTrigger", "CompletingMigration"])
      assert.equal(named(phase).parentSpanId, migration.spanId, phase);
    const ofDatabase = named(`database ${database}`);
    assert.equal(ofDatabase.parentSpanId, migration.spanId);
    for (const step of [
      "reading the schema",
      "copying tables",
      "statistics",
      "following",
      "apply all commits up to it",
      "compare",
    ])
      assert.equal(named(step).parentSpanId, ofDatabase.spanId, step);
    for (const { name, startTimeUnixNano, endTimeUnixNano } of spans) {
      assert(BigInt(startTimeUnixNano) <= BigInt(endTimeUnixNano), name);
      assert(BigInt(endTimeUnixNano) <= BigInt(migration.endTimeUnixNano), `${name} ends within the migration`);
    }
    for (const secret of [lab.source.login.password, lab.administrator.password])
      assert(!bodies.some((body) => body.includes(secret)));
  });

  it("report a failure, and do not disturb the migration if the endpoint is unreachable", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    await lab.target.query(`CREATE DATABASE ${database} OWNER ${lab.administrator.user}`);
    await Resource.failure(resource.create(lab.inputs([database])));
    const root = `migration ${resource.inputs.migrationName as string}`;
    await until("the trace is received", () => spans.some(({ name }) => name === root));
    assert.equal(named(root).status?.code, 2, "an error");
    assert.match(named(root).status?.message ?? "", /validation found 1 problem/);

    process.env.OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:9";
    assert.equal((await resource.update({ overwriteDbsInTarget: true })).state, "Succeeded");
  });
});
