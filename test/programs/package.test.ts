import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { InstalledPackage } from "./installed-package";

describe("the npm package", () => {
  const npmPackage = new InstalledPackage();

  it("contains README, LICENSE, the manual page, the template and a complete manifest", async () => {
    for (const name of [
      "README.md",
      "LICENSE",
      "dist/pg-migration.1",
      ...["Pulumi.yaml", "README.md", "index.ts", "package.json", "tsconfig.json"].map((name) => `template/${name}`),
      npmPackage.manifest.main,
      npmPackage.manifest.types,
    ])
      assert((await readFile(join(npmPackage.path, name))).length > 0, name);
    assert.deepEqual(npmPackage.manifest.man, ["./dist/pg-migration.1"]);
    for (const key of ["keywords", "repository", "homepage", "bugs", "license", "description"])
      assert(npmPackage.manifest[key], key);
  });

  it("requires no package beside its dependencies except @pulumi/pulumi", () => {
    const { peerDependencies, peerDependenciesMeta } = npmPackage.manifest;
    const required = Object.keys(peerDependencies).filter((name) => !peerDependenciesMeta[name]?.optional);
    assert.deepEqual(required, ["@pulumi/pulumi"]);
  });

  it("contains only public declarations, and no source maps", async () => {
    const files = await readdir(npmPackage.path, { recursive: true });
    assert.deepEqual(
      files.filter((name) => /\.(map|tsbuildinfo)$/.test(name) || (/\.d\.ts$/.test(name) && !/^dist.types/.test(name))),
      [],
    );
  });

  it("runs the command with its declared dependencies alone", () => {
    const help = npmPackage.run(process.execPath, [join(npmPackage.path, "bin/pg-migration.js"), "--help"]);
    assert.match(help, /pg-migration/);
  });

  it("names the OpenTelemetry packages to install if an endpoint is set without them", () => {
    const script = `require("./node_modules/pulumi-pg-migration/dist/worker/monitoring/traces.js")
      .Traces.start({ migration: "crm", source: "a", target: "b", databases: [] }, process.env)
      .catch((error) => console.log(error.name, error.message))`;
    const printed = npmPackage.run(process.execPath, ["-e", script], {
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1",
    });
    assert.match(printed, /^RefusedError .*packages are not installed .*\n {2}To do: npm install @opentelemetry\/api /);
  });
});
