import type { Command } from "commander";
import { stringify } from "yaml";
import { formatTable } from "../../display/format-table.js";
import { choice } from "../options/choice.js";
import { checkQuery, query } from "./query.js";
import { writeOutput } from "./terminal.js";

const formats = ["json", "jsonc", "none", "table", "tsv", "yaml", "yamlc"] as const;

type Format = (typeof formats)[number];

export interface OutputFlags {
  readonly output: Format;
  readonly query?: string;
}

/** Adds az's `--output` and `--query`. */
export function addOutputOption(command: Command, defaultFormat: Format): Command {
  return command
    .addOption(choice("-o, --output <format>", "output format", formats).default(defaultFormat))
    .option("--query <expression>", "JMESPath: the part of the output to print")
    .hook("preAction", async (_program, action) => {
      const { query: expression } = action.opts<OutputFlags>();
      if (expression !== undefined) await checkQuery(expression);
    });
}

/** Prints an answer on standard output. `table` renders the whole answer for people. */
export async function print(flags: OutputFlags, answer: unknown, table: () => string): Promise<void> {
  if (flags.output === "none") return;
  if (flags.query === undefined && flags.output === "table") {
    writeOutput(table());
    return;
  }
  const selected = flags.query === undefined ? answer : await query(answer, flags.query);
  writeOutput(render(flags.output, selected));
}

/** The formats with color in az (`jsonc`, `yamlc`) have none here: names of objects must not control the terminal. */
function render(format: Exclude<Format, "none">, answer: unknown): string {
  switch (format) {
    case "json":
    case "jsonc":
      return JSON.stringify(answer, undefined, 2);
    case "yaml":
    case "yamlc":
      return stringify(answer).trimEnd();
    case "tsv":
      return listOf(answer)
        .map((row) => (isObject(row) ? Object.values(row) : [row]).map(cell).join("\t"))
        .join("\n");
    case "table":
      return tableOf(listOf(answer));
  }
}

/** As az: the columns are the keys of all objects, otherwise `Result` or `Column1`, `Column2`. */
function tableOf(list: readonly unknown[]): string {
  const rows = list.map((row) => (isObject(row) ? row : { result: row })) as Record<string, unknown>[];
  const keys = [...new Set(list.length === 0 ? ["result"] : rows.flatMap((row) => Object.keys(row)))];
  return formatTable(
    keys.map((key) => (/^\d+$/.test(key) ? `Column${Number(key) + 1}` : key.charAt(0).toUpperCase() + key.slice(1))),
    rows.map((row) => keys.map((key) => cell(row[key]))),
  );
}

const listOf = (answer: unknown): unknown[] => (Array.isArray(answer) ? answer : [answer]);

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

/** As az: a list within a row is its length, an object is empty. */
function cell(value: unknown): string {
  if (Array.isArray(value)) return String(value.length);
  if (isObject(value) || value === undefined || value === null) return "";
  return (typeof value === "string" ? value : JSON.stringify(value)).replace(/[\t\n\r]/g, " ");
}
