import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

describe("the API reference", () => {
  it("is up to date with the docstrings (npm run api-docs)", () => {
    const folder = mkdtempSync(join(tmpdir(), "pg-migration-api-docs-"));
    try {
      execFileSync("npx", ["typedoc", "--out", folder], { cwd: resolve("."), stdio: "pipe" });
      assert.equal(readFileSync("docs/api/README.md", "utf8"), readFileSync(join(folder, "README.md"), "utf8"));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
