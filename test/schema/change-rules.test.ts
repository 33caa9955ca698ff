import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { changeRules } from "../../provider/src/schema/catalogue/change-rules";
import { pagePath, renderPage } from "../../tools/schema-changes-page/render-page";

const sources = join(__dirname, "../../provider/src");

describe("the rule table of schema changes", () => {
  it("is the content of docs/schema-changes.md (npm run schema-changes-page)", async () => {
    assert.equal(readFileSync(pagePath, "utf8"), await renderPage());
  });

  it("has the rules of every kind of object", () => {
    const kinds = join(sources, "schema/catalogue/kinds");
    const exported = readdirSync(kinds, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .flatMap((file) =>
        [...readFileSync(join(kinds, file), "utf8").matchAll(/^export const (\w+Rules)\b/gm)].map(([, name]) => name!),
      );
    const list = readFileSync(join(sources, "schema/catalogue/change-rules.ts"), "utf8");
    const [, table = ""] = list.split("export const changeRules");
    assert.deepEqual(
      exported.filter((name) => !new RegExp(`\\b${name}\\b`).test(table)),
      [],
    );
  });

  it("has one rule for each kind and change", () => {
    const named = changeRules.flatMap((rules) => Object.values(rules).map(({ kind, change }) => `${kind} ${change}`));
    assert.deepEqual(
      named.filter((name, place) => named.indexOf(name) !== place),
      [],
    );
  });
});
