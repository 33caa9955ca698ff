import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { inputsSchema } from "../../provider/src/inputs/inputs";

const root = resolve(__dirname, "../..");

describe("docs/azure-terms.md", () => {
  const page = readFileSync(join(root, "docs/azure-terms.md"), "utf8");
  const status = readFileSync(join(root, "provider/src/status.ts"), "utf8");

  it("names existing inputs and outputs", () => {
    const names = [...page.matchAll(/`([a-z]\w+)(?:\[\]\.(\w+))?`/g)].flatMap(([, ...parts]) => parts.filter(Boolean));
    assert(names.length > 30);
    const isKnown = (name: string): boolean =>
      name in inputsSchema.shape || new RegExp(`\\b${name}\\??:`).test(status) || name === "currentStatus";
    assert.deepEqual(
      names.filter((name) => !isKnown(name)),
      [],
    );
  });

  it("maps the classic service's states to existing states and substates", () => {
    const [rows] = /\| Starting[^]*?\n\n/.exec(page) ?? [""];
    const states = rows.split("\n").flatMap((row) => row.split("|")[2]?.match(/[A-Z]\w+/g) ?? []);
    assert(states.length > 15);
    assert.deepEqual(
      states.filter((state) => !status.includes(`"${state}"`)),
      [],
    );
  });
});
