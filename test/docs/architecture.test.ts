import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(__dirname, "../..");

/** Paths in code spans of ARCHITECTURE.md: with a slash, or a file name with one of the repository's extensions. */
function namedPaths(): string[] {
  const text = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
  const prose = text.replaceAll(/^```[^]*?^```$/gm, "");
  const diagrams = [...text.matchAll(/\b([\w-]+(?:\/[\w-]+)*\/(?:[\w-]+\.ts)?)(?=[\s<"(])/g)].map((match) => match[1]!);
  const spans = [...prose.matchAll(/`([\w./-]+)`/g)].map((match) => match[1]!);
  return [...diagrams, ...spans.filter((span) => span.includes("/") || /\.(ts|md|json)$/.test(span))];
}

describe("ARCHITECTURE.md", () => {
  it("names only existing paths, relative to the root or to provider/src", () => {
    const paths = namedPaths();
    assert(paths.length > 70, `only ${paths.length} paths were found`);
    const missing = paths.filter(
      (path) => ![root, join(root, "provider/src")].some((base) => existsSync(join(base, path))),
    );
    assert.deepEqual(missing, []);
  });

  it("has a row for each phase of a database", () => {
    const records = readFileSync(join(root, "provider/src/store/records.ts"), "utf8");
    const [union] = /type DatabasePhase =[^;]*;/.exec(records) ?? [];
    const phases = [...union!.matchAll(/"(\w+)"/g)].map((match) => match[1]!);
    assert(phases.length > 0);
    const text = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
    assert.deepEqual(
      phases.filter((phase) => !text.includes(`| \`${phase}\``)),
      [],
    );
  });
});
