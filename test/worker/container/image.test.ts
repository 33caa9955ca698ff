import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, lstat, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";

interface Sbom {
  readonly bomFormat: string;
  readonly metadata: { readonly component: { readonly name: string; readonly version: string } };
  readonly components: readonly { readonly name: string; readonly version: string; readonly purl: string }[];
}

/** Only root can run a process as another user. */
const unprivileged = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};

describe("the worker's image", () => {
  let root: string;
  let app: string;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), "worker-image-"));
    await chmod(root, 0o755);
    app = join(root, "app");
    await promisify(execFile)(process.execPath, [resolve("provider/build-image.mjs"), app]);
  });
  after(() => rm(root, { recursive: true, force: true }));

  /** All files with size and time of change. */
  async function files(): Promise<Map<string, string>> {
    const entries = await readdir(root, { recursive: true });
    const facts = entries.map(async (entry): Promise<[string, string]> => {
      const { size, mtimeMs, ctimeMs, mode } = await lstat(join(root, entry));
      return [entry, `${size} ${mtimeMs} ${ctimeMs} ${mode}`];
    });
    return new Map(await Promise.all(facts));
  }

  it("has few and small files besides Node.js", async () => {
    const entries = [...(await files()).keys()];
    const sizes = await Promise.all(entries.map(async (entry) => (await lstat(join(root, entry))).size));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    // Node.js 24 without symbols has 112 MB, the base image 24 MB. Both must fit into 150 MB.
    assert(total < 14e6, `${total} bytes`);
    assert(!entries.some((entry) => /@pulumi|\.map$|\.d\.ts$/.test(entry)));
    const command = await readFile(join(app, "dist/bundles/command.js"), "utf8");
    assert(!command.includes('require("@pulumi'), "the bundle loads Pulumi");
  });

  it("has an SBOM of the packages in it, and of no others", async () => {
    const sbom = JSON.parse(await readFile(join(app, "sbom.cdx.json"), "utf8")) as Sbom;
    assert.equal(sbom.bomFormat, "CycloneDX");
    assert.equal(sbom.metadata.component.name, "pulumi-pg-migration");
    const names = sbom.components.map(({ name }) => name);
    for (const name of ["pg", "pino", "zod", "commander", "@azure/identity", "@aws-sdk/rds-signer", "node"])
      assert(names.includes(name), name);
    for (const name of ["google-auth-library", "@electric-sql/pglite-tools", "@opentelemetry/api"])
      assert(names.includes(name), name);
    assert(!names.some((name) => /^@pulumi\/|^esbuild$|^typescript$|^mocha$|^uplot$/.test(name)));
    assert(sbom.components.every(({ version, purl }) => purl.endsWith(`@${version}`)));
    assert.equal(new Set(sbom.components.map(({ purl }) => purl)).size, names.length);
  });

  it("migrates as an unprivileged user without a home, and writes no file", async () => {
    const before = await files();
    const lab = await Lab.start();
    try {
      const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)");
      const spec = lab.inputs([database], { runner: "external" });
      const { migrationName, source, target } = spec;
      const worker = spawn(process.execPath, ["bin/pg-migration.js", "worker", "--wait", "--workers", "2"], {
        cwd: app,
        // The image has no native pg_dump. One of this machine does not start without its temporary folder.
        env: {
          NODE_ENV: "production",
          TMPDIR: join(root, "absent"),
          PG_MIGRATION_JOB: JSON.stringify({ migrationName, source, target }),
        },
        stdio: ["ignore", "ignore", "pipe"],
        ...unprivileged,
      });
      let log = "";
      worker.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()));
      const exited = once(worker, "exit");
      const resource = new Resource();
      assert.equal((await resource.create(spec)).state, "Succeeded");
      assert.deepEqual(await exited, [0, null], log);
      assert.match(log, /which read them by pg_dump [\d.]+ \(wasm\)/);
      await assertSameContent(...lab.places(database));
      await resource.destroy();
    } finally {
      await lab.stop();
    }
    assert.deepEqual(await files(), before);
  });
});
