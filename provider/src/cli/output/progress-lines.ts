/** Where lines about a running operation go. */
export interface Lines {
  readonly report: (line: string) => void;
  readonly close: () => void;
}

/** Shows where an operation is: on a terminal in one line that changes, else in a line for each news, on standard error. */
export function reportLines(): Lines {
  const { stderr } = process;
  let last = "";
  return {
    report(line) {
      if (line === last) return;
      last = line;
      stderr.write(stderr.isTTY ? `\r\x1b[K${line.slice(0, (stderr.columns || 80) - 1)}` : `${line}\n`);
    },
    close() {
      if (stderr.isTTY && last !== "") stderr.write("\n");
    },
  };
}
