import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { CliDeployment } from "../../tools/pulumi-host/pulumi-cli/cli-deployment";
import { findPulumi } from "../../tools/pulumi-host/pulumi-cli/find-pulumi";
import type { HostEvent } from "../../tools/pulumi-host/host";
import { selectHost } from "../../tools/pulumi-host/select-host";

const urn = "urn:pulumi:dev::esm::pulumi:pulumi:Stack::esm-dev";
const metadata = { op: "create", urn };
const events = [
  { preludeEvent: { config: {} } },
  { resourcePreEvent: { metadata } },
  { diagnosticEvent: { urn, message: "<{%fg 1%}>copying<{%reset%}>\n", severity: "info", ephemeral: true } },
  { diagnosticEvent: { urn, message: "slow disk\n", severity: "warning" } },
  { resOutputsEvent: { metadata } },
  { summaryEvent: { resourceChanges: { create: 1 } } },
];

/** A fake CLI that records its arguments and input, and writes the event log of an operation. */
const fake = `#!${process.execPath}
const { appendFileSync, readFileSync, writeFileSync } = require("node:fs");
const args = process.argv.slice(2);
const input = args[0] === "config" ? readFileSync(0, "utf8") : "";
appendFileSync(process.env.FAKE_LOG, JSON.stringify({ args, input, backend: process.env.PULUMI_BACKEND_URL }) + "\\n");
if (args[1] === "ls") console.log("[]");
if (args[1] === "output") console.log('{"greeting":"[secret]"}');
const log = args.indexOf("--event-log");
if (log > 0) writeFileSync(args[log + 1], ${JSON.stringify(events.map((event) => JSON.stringify(event)).join("\n") + "\n")});
if (args[0] === "destroy") { console.error("error: no such stack"); process.exit(255); }
`;

interface Call {
  readonly args: readonly string[];
  readonly input: string;
  readonly backend: string;
}

describe("the Pulumi CLI host", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "cli-"));
    await writeFile(join(directory, "pulumi"), fake);
    await chmod(join(directory, "pulumi"), 0o755);
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const options = () => ({
    programDirectory: resolve("test/pulumi-host/programs/esm"),
    stack: "dev",
    passphrase: "a passphrase for tests",
    secretConfig: { name: "world-4711" },
    environment: { FAKE_LOG: join(directory, "calls.jsonl") },
  });

  it("passes secrets by standard input only, writes only to its folder, and reads the event log", async () => {
    const seen: HostEvent[] = [];
    const command = join(directory, "pulumi");
    const host = new CliDeployment({ ...options(), command, directory, onEvent: (event) => seen.push(event) });
    const result = await host.up({ refresh: true });
    const text = await readFile(join(directory, "calls.jsonl"), "utf8");
    const calls = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Call);
    assert.deepEqual(
      calls.map(({ args }) => args.slice(0, 2).join(" ")),
      ["stack ls", "stack init", "config set", "up --yes", "stack output"],
    );
    assert.ok(calls.every(({ args }) => !args.join(" ").includes("world-4711")));
    assert.equal(calls[2]?.input, "world-4711");
    assert.ok(calls.every(({ backend }) => backend === `file://${directory}`));
    assert.ok(calls[3]?.args.includes("--refresh"));
    assert.deepEqual(result, {
      ok: true,
      summary: { create: 1, update: 0, replace: 0, delete: 0, same: 0 },
      outputs: { greeting: "[secret]" },
      diagnostics: [{ severity: "warning", message: "slow disk", urn }],
      operations: [{ op: "create", urn }],
    });
    assert.deepEqual(
      seen.map(({ kind }) => kind),
      ["step-started", "status", "diagnostic", "step-finished"],
    );
    const failed = await host.destroy();
    assert.equal(failed.ok, false);
    assert.match(failed.diagnostics.at(-1)?.message ?? "", /no such stack/);
  });

  it("is selected if the CLI is on PATH, unless PULUMI_HOST selects another", () => {
    const { PATH, PULUMI_HOST } = process.env;
    try {
      process.env.PATH = directory;
      delete process.env.PULUMI_HOST;
      assert.equal(selectHost(options()).name, "cli");
      process.env.PULUMI_HOST = "embedded";
      assert.equal(selectHost(options()).name, "embedded");
      process.env.PATH = "/nowhere";
      process.env.PULUMI_HOST = "cli";
      assert.throws(() => selectHost(options()), /pulumi is not on PATH/);
      assert.equal(findPulumi("/nowhere"), undefined);
    } finally {
      process.env.PATH = PATH;
      if (PULUMI_HOST === undefined) delete process.env.PULUMI_HOST;
      else process.env.PULUMI_HOST = PULUMI_HOST;
    }
  });
});
