import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** The names and texts of the files in a folder, without its subfolders. */
const textsIn = (folder: string): [string, string][] =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }): [string, string] => [name, readFileSync(join(folder, name), "utf8")])
    .sort(([one], [other]) => one.localeCompare(other));

describe("the API reference", () => {
  for (const [subject, options, written] of [
    ["the resources", "typedoc.json", "docs/api"],
    ["the runners", "typedoc.runners.json", "docs/api/runners"],
  ] as const)
    it(`of ${subject} is up to date with the docstrings (npm run api-docs)`, () => {
      const folder = mkdtempSync(join(tmpdir(), "pg-migration-api-docs-"));
      try {
        execFileSync("npx", ["typedoc", "--options", options, "--out", folder], { cwd: resolve("."), stdio: "pipe" });
        assert.deepEqual(textsIn(written), textsIn(folder));
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
});
