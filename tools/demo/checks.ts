export interface Check {
  readonly name: string;
  readonly expected: string;
  readonly actual: string;
  readonly ok: boolean;
}

/** The checks of the demo, in order. */
export class Checks {
  readonly all: Check[] = [];

  equal(name: string, actual: string | number, expected: string | number): void {
    this.all.push({
      name,
      expected: String(expected),
      actual: String(actual),
      ok: String(actual) === String(expected),
    });
  }

  get ok(): boolean {
    return this.all.length > 0 && this.all.every((check) => check.ok);
  }

  table(): string {
    const rows = [
      ["", "check", "expected", "found"],
      ...this.all.map((one) => [one.ok ? "ok" : "FAILED", one.name, one.expected, one.actual]),
    ];
    const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
    const line = (row: readonly string[]): string =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd();
    const rule = widths.map((width) => "-".repeat(width)).join("  ");
    return [line(rows[0]!), rule, ...rows.slice(1).map(line)].join("\n");
  }
}
