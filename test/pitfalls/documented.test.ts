import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(__dirname, "../..");

it("each lock in docs/source-locks.md is shown by the tests that it names", () => {
  const text = readFileSync(join(root, "docs/source-locks.md"), "utf8");
  const named = [...text.matchAll(/`(test\/[^`]+)`: ([^;|]+)/g)];
  assert(named.length > 10);
  for (const [, file, title] of named)
    assert(readFileSync(join(root, file!), "utf8").includes(title!.trim()), `${file} has no test "${title}"`);
});

describe("the pitfalls in docs/how-data-is-kept.md", () => {
  const text = readFileSync(join(root, "docs/how-data-is-kept.md"), "utf8");
  const rows = [...text.matchAll(/^\| *(\d+) *\|.*\| (.*?) *\|$/gm)].map(([, number, tests]) => ({
    number: Number(number),
    tests: [...tests!.matchAll(/`(test\/[^`]+)`: ([^;|]+)/g)].map(([, file, title]) => ({
      file: file!,
      title: title!.trim(),
    })),
  }));

  it("are all of them", () => {
    const wanted = [...Array.from({ length: 31 }, (_, index) => index + 1), 39, 40, 41];
    assert.deepEqual(
      rows.map(({ number }) => number),
      wanted,
    );
  });

  for (const { number, tests } of rows)
    it(`${number} is shown by a test`, () => {
      assert(tests.length > 0);
      for (const { file, title } of tests) {
        assert(existsSync(join(root, file)), file);
        assert(readFileSync(join(root, file), "utf8").includes(title), `${file} has no test "${title}"`);
      }
    });
});
