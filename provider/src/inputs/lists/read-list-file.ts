import { readFileSync } from "node:fs";
import { extname } from "node:path";
import { InvalidInputError, messageOf } from "../../errors.js";
import { csvLines } from "./csv.js";
import type { ListLine } from "./list-line.js";
import { yamlLines } from "./yaml-lines.js";

/**
 * Reads a list from a file: CSV by its extension `.csv`, otherwise YAML or JSON.
 *
 * @param keys see {@link yamlLines}
 * @throws InvalidInputError if the file cannot be read
 */
export function readListFile(file: string, property: string, keys: readonly string[]): ListLine[] {
  const text = readText(file, property);
  if (extname(file).toLowerCase() === ".csv") return csvLines(text);
  const lines = yamlLines(text, keys);
  if (lines) return lines;
  throw new InvalidInputError([{ property, reason: `${file} is nested too deeply: give a list of objects` }]);
}

function readText(file: string, property: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new InvalidInputError([{ property, reason: messageOf(error) }]);
  }
}
