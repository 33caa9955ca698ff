import { messageOf } from "../../errors.js";
import { MigrationIncompleteError } from "../../resource/lifecycle.js";
import { inCommandTerms } from "./command-terms.js";

/**
 * What happened and, on the last line, what to do: two lines for one problem.
 *
 * @param help the command that explains the options
 */
export function errorText(error: unknown, help: string): string {
  const { problems, remedies } = splitRemedies(inCommandTerms(messageOf(error)));
  const [first = "", ...others] = problems;
  const remedy = remedies.length > 0 ? remedies.join("; ") : defaultRemedy(error, help);
  return [`pg-migration: ${first}`, ...others.map((line) => `  ${line}`), `  To do: ${remedy}`].join("\n");
}

function defaultRemedy(error: unknown, help: string): string {
  if (error instanceof MigrationIncompleteError)
    return "correct the cause, then run pg-migration update; see also pg-migration logs";
  const isExpected = error instanceof Error && "remedy" in error;
  return isExpected ? `see ${help}` : "report this as a defect, with the command line";
}

/** Messages of errors end with `  To do: ...`; a joined message has several. */
function splitRemedies(message: string): { problems: string[]; remedies: string[] } {
  const marker = /^\s*To do: /;
  const lines = message.split("\n").filter((line) => line.trim() !== "");
  return {
    problems: lines.filter((line) => !marker.test(line)).map((line) => line.trimEnd()),
    remedies: lines.filter((line) => marker.test(line)).map((line) => line.replace(marker, "")),
  };
}
