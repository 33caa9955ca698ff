import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(__dirname, "../..");

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
