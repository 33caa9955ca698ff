import { displayWidth, escapeLine, truncate } from "../units/terminal-text.js";

const maxCellLength = 1000;

/**
 * Columns below their names, separated by two spaces, so that lines can be cut and sorted.
 *
 * @example
 * formatTable(["Name", "Rows"], [["t", "3000"]])
 * // Name  Rows
 * // ----  ----
 * // t     3000
 */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows].map((row) => row.map((cell) => truncate(escapeLine(cell), maxCellLength)));
  const widths = head.map((_, column) =>
    lines.reduce((width, row) => Math.max(width, displayWidth(row[column] ?? "")), 0),
  );
  lines.splice(
    1,
    0,
    widths.map((width) => "-".repeat(width)),
  );
  const pad = (cell: string, column: number): string => cell + " ".repeat(widths[column]! - displayWidth(cell));
  return lines.map((row) => row.map(pad).join("  ").trimEnd()).join("\n");
}
