import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Deployment, type DeploymentOptions } from "../../tools/pulumi-host/engine/deployment";
import { secretSignature, signatureKey } from "../../tools/pulumi-host/protocol/property-value";
import { isRunning } from "../../tools/pulumi-host/state/state-file";
import { errorsOf } from "../support/pulumi-cli";

interface Recorded {
  readonly method: string;
  readonly pid: number;
  readonly request: Readonly<Record<string, unknown>>;
}

/** A message google.protobuf.Value, as google-protobuf converts it to an object. */
interface Value {
  readonly stringValue?: string;
  readonly structValue?: unknown;
}

/** The fields of a message google.protobuf.Struct. */
const fieldsOf = (struct: unknown): ReadonlyMap<string, Value> =>
  new Map((struct as { fieldsMap: [string, Value][] }).fieldsMap);

describe("package providers", () => {
  const programDirectory = resolve("test/pulumi-host/programs/packaged");
  let directory: string;
  let log: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "provider-"));
    log = join(directory, "requests.jsonl");
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const deployment = (options: Partial<DeploymentOptions> = {}) =>
    new Deployment({
      programDirectory,
      stack: "dev",
      stateFile: join(directory, "state.json"),
      passphrase: "a passphrase for tests",
      config: { "recorded:region": "mars" },
      providers: { recorded: { command: process.execPath, arguments: [join(programDirectory, "provider.js"), log] } },
      ...options,
    });

  async function requests(): Promise<Recorded[]> {
    const lines = (await readFile(log, "utf8")).split("\n").filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line) as Recorded);
  }

  it("are started and configured once each, get timeouts, and are canceled and ended", async () => {
    const result = await deployment().up();
    const recorded = await requests();
    const of = (method: string) => recorded.filter((request) => request.method === method);
    assert.equal(result.ok, true, JSON.stringify(result.diagnostics));
    assert.deepEqual(result.outputs, {
      directory: join(programDirectory, "program"),
      size: 3,
      otherSize: 3,
      asked: { because: "so" },
    });
    assert.equal(of("configure").length, 2, "the default provider and the explicit one");
    const regions = of("configure").map(({ request }) => fieldsOf(request.args).get("region")?.stringValue);
    assert.deepEqual(regions.sort(), ["mars", "moon"]);
    const creations = of("create").map(({ request }) => [request.name, request.timeout]);
    assert.deepEqual(
      new Map(creations as [string, number][]),
      new Map([
        ["thing", 5400],
        ["other", 0],
      ]),
    );
    const propertyOf = (name: string, property: string): Value | undefined =>
      fieldsOf(of("create").find(({ request }) => request.name === name)?.request.properties).get(property);
    // The provider announced support of secrets, and not of references.
    const token = fieldsOf(propertyOf("thing", "token")?.structValue);
    assert.equal(token.get(signatureKey)?.stringValue, secretSignature);
    assert.equal(propertyOf("other", "thing")?.stringValue, "id-of-thing");
    assert.equal(of("cancel").length, 2);
    for (const pid of new Set(recorded.map((request) => request.pid))) assert.equal(isRunning(pid), false);
    assert.ok(!(await readFile(join(directory, "state.json"), "utf8")).includes("tok-4711"));
    await deployment().destroy();
    const deletions = (await requests()).filter(({ method }) => method === "delete");
    assert.deepEqual(
      deletions.map(({ request }) => [request.id, request.timeout]),
      [
        ["id-of-other", 0],
        ["id-of-thing", 90],
      ],
    );
  });

  it("are asked in a preview if they support it", async () => {
    const result = await deployment().preview();
    assert.equal(result.outputs.size, 3);
    assert.ok((await requests()).every(({ method, request }) => method !== "create" || request.preview === true));
  });

  it("are named in the error if they are missing or do not start", async () => {
    const missing = await deployment({ config: { missing: "yes" } }).up();
    const broken = await deployment({ providers: { recorded: { command: "/nowhere/provider" } } }).up();
    assert.equal(missing.ok, false);
    assert.match(errorsOf(missing), /no provider is known for package absent/);
    assert.equal(broken.ok, false);
    assert.match(errorsOf(broken), /cannot be started: \/nowhere\/provider/);
  });
});
