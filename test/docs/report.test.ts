import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { format } from "prettier";
import { z } from "zod";
import { reportSchema } from "../../provider/src/report/report-schema";

interface Described {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Described>>;
  readonly required?: readonly string[];
  readonly items?: Described;
}

/** Rows of the table of fields, such as `tables[].comparison?`. */
function rowsOf({ properties = {}, required = [] }: Described, path = ""): string[] {
  return Object.entries(properties).flatMap(([name, field]) => {
    const own = `${path}${name}${field.items ? "[]" : ""}${required.includes(name) ? "" : "?"}`;
    return [`| \`${own}\` | ${field.description ?? ""} |`, ...rowsOf(field.items ?? field, `${own}.`)];
  });
}

describe("the page about the report", () => {
  it("explains every field of its JSON as the schema does", async () => {
    const page = await readFile(join(__dirname, "../../docs/report.md"), "utf8");
    const rows = rowsOf(z.toJSONSchema(reportSchema) as Described);
    const table = await format(["| field | meaning |", "| - | - |", ...rows].join("\n"), { parser: "markdown" });
    assert(page.includes(table.trim()), `the table of fields in docs/report.md has to be:\n${table}`);
  });
});
