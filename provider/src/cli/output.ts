import Table from "cli-table3";
import { Option, type Command } from "commander";
import { stringify } from "yaml";

export type Format = "json" | "table" | "yaml";

export interface OutputFlags {
  readonly output: Format;
}

export function addOutputOption(command: Command, standard: Format): Command {
  return command.addOption(
    new Option("-o, --output <format>", "how the answer is printed")
      .choices(["json", "table", "yaml"])
      .default(standard),
  );
}

/** Prints an answer on standard output; `table` makes what people read of it. */
export function print(format: Format, answer: unknown, table: () => string): void {
  const text =
    format === "json"
      ? JSON.stringify(answer, undefined, 2)
      : format === "yaml"
        ? stringify(answer).trimEnd()
        : table();
  process.stdout.write(`${text}\n`);
}

const borders = ["top", "bottom", "left", "right", "mid", "left-mid", "right-mid"] as const;
const crossings = ["top-mid", "top-left", "top-right", "bottom-mid", "bottom-left", "bottom-right", "mid-mid"] as const;

/** Columns under their names, parted by spaces, so that lines can be cut and sorted. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const table = new Table({
    chars: { ...Object.fromEntries([...borders, ...crossings].map((name) => [name, ""])), middle: "  " },
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)));
  table.push(
    [...head],
    widths.map((width) => "-".repeat(width)),
    ...rows.map((row) => [...row]),
  );
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}
