import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The lines of a tab-separated file in this folder, each as its fields. */
export function readReference(name: "countries" | "currencies" | "states"): string[][] {
  const text = readFileSync(join(__dirname, `${name}.tsv`), "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => line.split("\t"));
}
