import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { azureCodes, unusedAzureCodes } from "../../provider/src/finding-codes/azure-codes";
import { findingCatalogue } from "../../provider/src/finding-codes/finding-code";
import { anchorOf } from "../../provider/src/finding-codes/findings-page";
import { pagePath, renderPage } from "../../tools/findings-page/render-page";

const sources = join(__dirname, "../../provider/src");

describe("the catalogue of findings", () => {
  const codes = Object.keys(findingCatalogue);

  it("is the content of docs/findings.md (npm run findings-page)", async () => {
    const page = readFileSync(pagePath, "utf8");
    assert.equal(page, await renderPage());
    for (const code of codes) assert.ok(page.includes(`<a id="${anchorOf(code)}"></a>${code} `), code);
  });

  it("has every code that Azure documents, or the reason why it is never reported", () => {
    const range = (first: number, last: number): string[] =>
      Array.from({ length: last - first + 1 }, (_, i) => String(first + i));
    const documented = [
      ...range(603000, 603001),
      ...range(603100, 603117),
      ...range(603400, 603410),
      "603413",
      ...range(603700, 603709),
    ];
    const known = [...Object.keys(azureCodes), ...Object.keys(unusedAzureCodes)];
    assert.equal(documented.length, 42);
    assert.deepEqual(known.sort(), documented);
  });

  it("has no entry that the engine never reports", () => {
    const text = readdirSync(sources, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && !file.startsWith("finding-codes"))
      .map((file) => readFileSync(join(sources, file), "utf8"))
      .join("\n");
    assert.deepEqual(
      codes.filter(
        (code) => !text.includes(`"${code}"`) && !text.includes(`\`${code}: `) && !text.includes(`"${code}: `),
      ),
      [],
    );
  });
});
