import type { ListLine } from "./list-line.js";

interface CsvRecord {
  readonly line: number;
  readonly cells: readonly string[];
  readonly problem?: string;
}

/**
 * Reads CSV (RFC 4180): the first record has the names. An empty cell sets nothing. A record with the wrong number of cells is
 * a problem of its line only.
 *
 * @example csvLines("host,port\ndb1,5432\n") // [{ line: 2, values: { host: "db1", port: "5432" } }]
 */
export function csvLines(text: string): ListLine[] {
  const [head, ...records] = csvRecords(text.replace(/^\uFEFF/, ""));
  if (!head) return [];
  if (head.problem !== undefined) return [{ line: head.line, problem: head.problem }];
  const names = head.cells.map((cell) => cell.trim());
  return records.map(({ line, cells, problem }): ListLine => {
    if (problem !== undefined) return { line, problem };
    if (cells.length !== names.length)
      return { line, problem: `${cells.length} cells, but the first line has ${names.length} names` };
    const pairs = names.map((name, column) => [name, cells[column]!.trim()] as const);
    return { line, values: Object.fromEntries(pairs.filter(([, cell]) => cell !== "")) };
  });
}

/** Skips empty lines and lines that start with `#`. */
function csvRecords(text: string): CsvRecord[] {
  const records: CsvRecord[] = [];
  for (let at = 0, line = 1; at < text.length;) {
    const record = nextRecord(text, at);
    const isBlank = record.cells.length === 1 && record.cells[0]!.trim() === "";
    if (!isBlank && !text.startsWith("#", at))
      records.push({ line, cells: record.cells, ...(record.isOpen ? { problem: "a quoted cell has no end" } : {}) });
    line += text.slice(at, record.end).split("\n").length - 1;
    at = record.end;
  }
  return records;
}

const cellPattern = /"((?:[^"]|"")*)("?)([^,\r\n]*)|([^,\r\n]*)/y;

function nextRecord(text: string, start: number): { cells: string[]; end: number; isOpen: boolean } {
  const cells: string[] = [];
  for (let at = start; ; at++) {
    cellPattern.lastIndex = at;
    const [matched, quoted, close, , plain] = cellPattern.exec(text)!;
    if (quoted !== undefined && close === "")
      return { cells: [...cells, quoted], end: endOfLine(text, start), isOpen: true };
    cells.push(quoted === undefined ? plain! : quoted.replaceAll('""', '"'));
    at += matched.length;
    if (text[at] !== ",") return { cells, end: endOfLine(text, at), isOpen: false };
  }
}

function endOfLine(text: string, at: number): number {
  const newline = text.indexOf("\n", at);
  return newline === -1 ? text.length : newline + 1;
}
