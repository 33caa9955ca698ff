import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { sep } from "node:path";

interface Suite {
  readonly spec: readonly string[];
  readonly longestFirst: readonly string[];
}

describe("the two test suites", () => {
  const load = createRequire(__filename);
  const suites = ["../short.mocharc.cjs", "../long.mocharc.cjs"].map((file) => load(file) as Suite);

  it("contain each test file once", () => {
    const files = readdirSync("test", { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".test.ts"))
      .map((file) => `test/${file.split(sep).join("/")}`);
    assert.deepEqual(suites.flatMap(({ spec }) => spec).sort(), files.sort());
  });

  it("list only existing files as their longest", () => {
    for (const { spec, longestFirst } of suites)
      assert.deepEqual(
        longestFirst.filter((file) => !spec.includes(`test/${file}`)),
        [],
      );
  });
});
