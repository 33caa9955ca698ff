import { escapeLine } from "../../units/terminal-text.js";

/** Prints the progress of a running operation. */
export interface ProgressLines {
  readonly report: (line: string) => void;
  readonly close: () => void;
}

/** On standard error: one line that changes on a terminal, otherwise a line for each change. */
export function openProgressLines(): ProgressLines {
  const { stderr } = process;
  let last = "";
  return {
    report(line) {
      if (line === last) return;
      last = line;
      const text = escapeLine(line);
      stderr.write(stderr.isTTY ? `\r\x1b[K${text.slice(0, (stderr.columns || 80) - 1)}` : `${text}\n`);
    },
    close() {
      if (stderr.isTTY && last !== "") stderr.write("\n");
    },
  };
}
