import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { promisify } from "node:util";

const root = resolve(__dirname, "../..");

interface NamedTest {
  readonly file: string;
  readonly title: string;
}

/** The tests that a line of a document names, as `test/file`: title; several are separated by semicolons. */
function namedTests(text: string): NamedTest[] {
  return [...text.matchAll(/`(test\/[^`]+\.test\.ts)`: ([^;|]+)/g)].map(([, file, title]) => ({
    file: file!,
    title: title!.trim(),
  }));
}

const locks = readFileSync(join(root, "docs/source-locks.md"), "utf8");
const pitfalls = readFileSync(join(root, "docs/data-safety.md"), "utf8");

describe("the tests that the documents name", () => {
  /** The titles that mocha finds in each file, without those that are skipped. */
  const titles = new Map<string, string[]>();

  before(async () => {
    const files = [...new Set(namedTests(locks + pitfalls).map(({ file }) => file))];
    const mocha = [join(root, "node_modules/mocha/bin/mocha.js"), "--dry-run", "--reporter", "json"];
    const { stdout } = await promisify(execFile)(process.execPath, [...mocha, ...files], {
      cwd: root,
      maxBuffer: 64 * 2 ** 20,
    });
    const { passes } = JSON.parse(stdout.slice(stdout.indexOf("{"))) as { passes: { file: string; title: string }[] };
    for (const { file, title } of passes) {
      const path = relative(root, file);
      titles.set(path, [...(titles.get(path) ?? []), title]);
    }
  });

  function assertExist(tests: readonly NamedTest[]): void {
    for (const { file, title } of tests)
      assert(
        titles.get(file)?.some((one) => one.includes(title)),
        `${file} has no test "${title}", but:\n${titles.get(file)?.join("\n") ?? "no test at all"}`,
      );
  }

  it("exist for every lock in docs/source-locks.md", () => {
    const tests = namedTests(locks);
    assert(tests.length > 10);
    assertExist(tests);
  });

  const rows = [...pitfalls.matchAll(/^\| *(\d+) *\|.*\| (.*?) *\|$/gm)];

  it("belong to 42 numbered pitfalls in docs/data-safety.md", () => {
    assert.deepEqual(
      rows.map(([, number]) => Number(number)),
      Array.from({ length: 42 }, (_, index) => index + 1),
    );
  });

  for (const [, number, tests] of rows)
    it(`exist for pitfall ${number} in docs/data-safety.md`, () => {
      const named = namedTests(tests!);
      assert(named.length > 0);
      assertExist(named);
    });
});
