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

  const startTraces = (): string =>
    npmPackage.run(
      process.execPath,
      [
        "-e",
        `require("./node_modules/pulumi-pg-migration/dist/worker/monitoring/traces.js")
          .Traces.start({ migration: "crm", source: "a", target: "b", databases: [] }, process.env)
          .catch((error) => console.log(error.name, error.message))`,
      ],
      { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" },
    );

  it("names the OpenTelemetry packages to install if an endpoint is set without them", () =>
    assert.match(
      startTraces(),
      /^RefusedError .*packages are not installed .*\n {2}To do: npm install @opentelemetry\/api@1 /,
    ));

  it("accepts the OpenTelemetry of @pulumi/pulumi for Node.js 20 beside it, and names newer ones for traces", async () => {
    for (const [name, version] of [
      ...["resources", "sdk-trace-base"].map((one) => [one, "1.30.1"] as const),
      ...["exporter-trace-otlp-grpc", "otlp-exporter-base", "otlp-transformer"].map((one) => [one, "0.57.2"] as const),
      ["api", "1.9.1"] as const,
    ])
      await npmPackage.add(`@opentelemetry/${name}`, version);
    const isRejected = (line: string): boolean =>
      /@opentelemetry.*invalid: .* from node_modules\/pulumi-pg-migration/.test(line);
    assert.deepEqual(npmPackage.listed().split("\n").filter(isRejected), []);
    assert.match(startTraces(), /packages are older than version 2\n {2}To do: npm install .*resources@2/);
  });
});
