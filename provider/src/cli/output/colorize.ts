import { styleText } from "node:util";

const colours = [
  [/█+(?=░* +\d+ %)|●|\bSucceeded\b/g, "green"],
  [/░+|○/g, "dim"],
  [/◉|[▁▂▃▄▅▆▇█]+$/g, "cyan"],
  [/\b(?:WaitingForUserAction|Canceled|no worker)\b/g, "yellow"],
  [/\b(?:Failed|ValidationFailed)\b/g, "red"],
] as const;

/** A line of `watch` in colours, which take no place: what is cut to a terminal's width is cut before. */
export function paint(line: string): string {
  return colours.reduce((text, [pattern, colour]) => text.replace(pattern, (part) => styleText(colour, part)), line);
}
