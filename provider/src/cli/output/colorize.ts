import { styleText } from "node:util";

const colors = [
  [/█+(?=░* +\d+ %)|●|\bSucceeded\b/g, "green"],
  [/░+|○/g, "dim"],
  [/◉|[▁▂▃▄▅▆▇█]+$/g, "cyan"],
  [/\b(?:WaitingForUserAction|Canceled|no worker)\b/g, "yellow"],
  [/\b(?:Failed|ValidationFailed)\b/g, "red"],
] as const;

/** A line of `watch` in color. Cut it to the terminal's width before: color sequences have no width. */
export function colorize(line: string): string {
  return colors.reduce((text, [pattern, color]) => text.replace(pattern, (part) => styleText(color, part)), line);
}
