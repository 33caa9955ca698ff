import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";

/** The packages of Pulumi that a program loads with an import. */
function loadedWith(module: string): string[] {
  const program = `
    require(${JSON.stringify(module)});
    const names = Object.keys(require.cache).map((file) => /node_modules\\/(@pulumi\\/[^/]+)/.exec(file)?.[1]);
    console.log(JSON.stringify([...new Set(names)].filter((name) => name !== undefined).sort()));`;
  return JSON.parse(execFileSync(process.execPath, ["-e", program], { encoding: "utf8" })) as string[];
}

describe("the package's entry points for runners", () => {
  it("load only the SDK of their engine", () => {
    assert.deepEqual(loadedWith("pulumi-pg-migration"), ["@pulumi/pulumi"]);
    assert.deepEqual(loadedWith("pulumi-pg-migration/runners/kubernetes"), ["@pulumi/kubernetes", "@pulumi/pulumi"]);
    for (const azure of ["container-apps", "container-group"])
      assert.deepEqual(loadedWith(`pulumi-pg-migration/runners/${azure}`), ["@pulumi/azure-native", "@pulumi/pulumi"]);
  });
});
