import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

interface Manifest {
  readonly name: string;
  readonly main: string;
  readonly types: string;
  readonly man: readonly string[];
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>;
  readonly [key: string]: unknown;
}

const program = `
import * as pulumi from "@pulumi/pulumi";
import { MigrationIncompleteError, PgFleetMigration, PgMigration, type MigrationStatus, type PgMigrationArgs } from "pulumi-pg-migration";
const args: PgMigrationArgs = {
  source: { host: "old", user: "app", password: pulumi.secret("a") },
  target: { host: "new", user: "admin", password: "b" },
  dbsToMigrate: ["crm"],
};
export const status: pulumi.Output<MigrationStatus> = new PgMigration("crm", args).currentStatus;
export const classes = [PgFleetMigration, MigrationIncompleteError];
`;

/**
 * The unpacked tarball in a separate folder. Its declared dependencies are links to those of the workspace, so no registry
 * is needed. A package that is used but not declared is not found.
 */
describe("the npm package", () => {
  let folder: string;
  let installed: string;
  let manifest: Manifest;

  const run = (command: string, args: readonly string[], changes: Readonly<Record<string, string>> = {}): string =>
    execFileSync(command, args, { cwd: folder, encoding: "utf8", env: { ...process.env, ...changes }, stdio: "pipe" });

  async function link(name: string): Promise<void> {
    const path = join(folder, "node_modules", name);
    await mkdir(resolve(path, ".."), { recursive: true });
    await symlink(resolve("node_modules", name), path, "junction");
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "pg-migration-package-"));
    const copy = join(folder, "provider");
    await mkdir(copy);
    // In a copy, because packing writes README.md and LICENSE beside the manifest.
    for (const name of ["bin", "dist", "package.json", "copy-package-texts.mjs"])
      await cp(join("provider", name), join(copy, name), { recursive: true });
    for (const name of ["README.md", "LICENSE"]) await cp(name, join(folder, name));
    execFileSync(process.execPath, [join(copy, "copy-package-texts.mjs")]);
    run("npm", ["pack", "--ignore-scripts", "--pack-destination", folder, copy]);
    const tarball = (await readdir(folder)).find((name) => name.endsWith(".tgz"))!;
    installed = join(folder, "node_modules/pulumi-pg-migration");
    await mkdir(installed, { recursive: true });
    run("tar", ["xzf", tarball, "--strip-components", "1", "-C", installed]);
    manifest = JSON.parse(await readFile(join(installed, "package.json"), "utf8")) as Manifest;
    for (const name of Object.keys(manifest.dependencies)) await link(name);
  });

  after(() => rm(folder, { recursive: true, force: true }));

  it("contains README, LICENSE, the manual page and a complete manifest", async () => {
    for (const name of ["README.md", "LICENSE", "dist/pg-migration.1", manifest.main, manifest.types])
      assert((await readFile(join(installed, name))).length > 0, name);
    assert.deepEqual(manifest.man, ["./dist/pg-migration.1"]);
    for (const key of ["keywords", "repository", "homepage", "bugs", "license", "description"])
      assert(manifest[key], key);
  });

  it("contains only public declarations, and no source maps", async () => {
    const files = await readdir(installed, { recursive: true });
    assert.deepEqual(
      files.filter((name) => /\.(map|tsbuildinfo)$/.test(name) || (/\.d\.ts$/.test(name) && !/^dist.types/.test(name))),
      [],
    );
  });

  it("runs the command with its declared dependencies alone", () => {
    const help = run(process.execPath, [join(installed, "bin/pg-migration.js"), "--help"]);
    assert.match(help, /pg-migration/);
  });

  it("names the OpenTelemetry packages to install if an endpoint is set without them", () => {
    assert(Object.keys(manifest.peerDependenciesMeta).every((name) => name.startsWith("@opentelemetry/")));
    const script = `require("./node_modules/pulumi-pg-migration/dist/worker/monitoring/traces.js")
      .Traces.start({ migration: "crm", source: "a", target: "b", databases: [] }, process.env)
      .catch((error) => console.log(error.name, error.message))`;
    const printed = run(process.execPath, ["-e", script], { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" });
    assert.match(printed, /^RefusedError .*packages are not installed .*\n {2}To do: npm install @opentelemetry\/api /);
  });

  for (const [module, moduleResolution] of [
    ["node16", "node16"],
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ] as const)
    it(`type-checks under moduleResolution ${moduleResolution} with skipLibCheck false`, async () => {
      for (const name of ["@pulumi/pulumi", "@types/node"])
        await link(name).catch((error: unknown) => assert.equal((error as NodeJS.ErrnoException).code, "EEXIST"));
      await writeFile(join(folder, "index.ts"), program);
      const compilerOptions = { module, moduleResolution, target: "es2022", strict: true, skipLibCheck: false };
      await writeFile(
        join(folder, "tsconfig.json"),
        JSON.stringify({ compilerOptions: { ...compilerOptions, noEmit: true, types: ["node"] }, files: ["index.ts"] }),
      );
      run(process.execPath, [resolve("node_modules/typescript/bin/tsc"), "-p", folder]);
    });
});
