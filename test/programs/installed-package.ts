import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

interface Manifest {
  readonly name: string;
  readonly main: string;
  readonly types: string;
  readonly man: readonly string[];
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
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
 * The unpacked tarball in a separate folder, for the tests of a `describe`. Its declared dependencies are links to those of the
 * workspace, so no registry is needed. A package that is used but not declared is not found.
 */
export class InstalledPackage {
  folder = "";
  manifest!: Manifest;

  constructor() {
    before(() => this.#install());
    after(() => rm(this.folder, { recursive: true, force: true }));
  }

  get path(): string {
    return join(this.folder, "node_modules/pulumi-pg-migration");
  }

  run(command: string, args: readonly string[], changes: Readonly<Record<string, string>> = {}): string {
    const env = { ...process.env, ...changes };
    return execFileSync(command, args, { cwd: this.folder, encoding: "utf8", env, stdio: "pipe" });
  }

  /** Type-checks a program that uses the package, and the declarations of the package. */
  async typeCheck(module: string, moduleResolution: string): Promise<void> {
    for (const name of ["@pulumi/pulumi", "@types/node"])
      await this.#link(name).catch((error: unknown) => assert.equal((error as NodeJS.ErrnoException).code, "EEXIST"));
    await writeFile(join(this.folder, "index.ts"), program);
    const compilerOptions = { module, moduleResolution, target: "es2022", strict: true, skipLibCheck: false };
    await writeFile(
      join(this.folder, "tsconfig.json"),
      JSON.stringify({ compilerOptions: { ...compilerOptions, noEmit: true, types: ["node"] }, files: ["index.ts"] }),
    );
    this.run(process.execPath, [resolve("node_modules/typescript/bin/tsc"), "-p", this.folder]);
  }

  /** Installs an empty package of this version beside the tarball. */
  async add(name: string, version: string): Promise<void> {
    const path = join(this.folder, "node_modules", name);
    await mkdir(path, { recursive: true });
    await writeFile(join(path, "package.json"), JSON.stringify({ name, version, main: "index.js" }));
    await writeFile(join(path, "index.js"), "");
  }

  /** What npm reports about the installed packages, including versions that a dependent does not accept. */
  listed(): string {
    const { stdout, stderr } = spawnSync("npm", ["ls", "--all"], { cwd: this.folder, encoding: "utf8" });
    return stdout + stderr;
  }

  async #install(): Promise<void> {
    this.folder = await mkdtemp(join(tmpdir(), "pg-migration-package-"));
    const copy = join(this.folder, "provider");
    await mkdir(copy);
    // In a copy, because packing writes README.md and LICENSE beside the manifest.
    for (const name of ["bin", "dist", "template", "package.json", "copy-package-texts.mjs"])
      await cp(join("provider", name), join(copy, name), { recursive: true });
    for (const name of ["README.md", "LICENSE"]) await cp(name, join(this.folder, name));
    execFileSync(process.execPath, [join(copy, "copy-package-texts.mjs")]);
    this.run("npm", ["pack", "--ignore-scripts", "--pack-destination", this.folder, copy]);
    const tarball = (await readdir(this.folder)).find((name) => name.endsWith(".tgz"))!;
    await mkdir(this.path, { recursive: true });
    this.run("tar", ["xzf", tarball, "--strip-components", "1", "-C", this.path]);
    this.manifest = JSON.parse(await readFile(join(this.path, "package.json"), "utf8")) as Manifest;
    for (const name of Object.keys(this.manifest.dependencies)) await this.#link(name);
  }

  async #link(name: string): Promise<void> {
    const path = join(this.folder, "node_modules", name);
    await mkdir(resolve(path, ".."), { recursive: true });
    await symlink(resolve("node_modules", name), path, "junction");
  }
}
