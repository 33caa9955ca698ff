import { Option, type Command } from "commander";
import { stringify } from "yaml";
import { writeOutput } from "./terminal.js";

export type Format = "json" | "none" | "table" | "tsv" | "yaml";

export interface OutputFlags {
  readonly output: Format;
}

export function addOutputOption(command: Command, defaultFormat: Format): Command {
  return command.addOption(
    new Option("-o, --output <format>", "output format")
      .choices(["json", "none", "table", "tsv", "yaml"])
      .default(defaultFormat),
  );
}

/** Prints an answer on standard output; `table` renders it for people. */
export function print(format: Format, answer: unknown, table: () => string): void {
  if (format === "none") return;
  if (format === "json") writeOutput(JSON.stringify(answer, undefined, 2));
  else if (format === "yaml") writeOutput(stringify(answer).trimEnd());
  else if (format === "tsv") writeOutput(tsv(answer));
  else writeOutput(table());
}

/** As `az -o tsv`: one object per line, values only; a list within it is its length, an object is empty. */
function tsv(answer: unknown): string {
  const rows: unknown[] = Array.isArray(answer) ? answer : [answer];
  return rows.map((row) => (isObject(row) ? Object.values(row) : [row]).map(tsvCell).join("\t")).join("\n");
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

function tsvCell(value: unknown): string {
  if (Array.isArray(value)) return String(value.length);
  if (isObject(value) || value === undefined || value === null) return "";
  return (typeof value === "string" ? value : JSON.stringify(value)).replace(/[\t\n\r]/g, " ");
}
