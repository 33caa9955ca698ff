import type { MigrationStatus, ValidationState, ValidationSummary } from "../status.js";
import { findingsPage } from "../finding-codes/findings-page.js";
import { formatTable } from "./format-table.js";
import { escapeLine } from "../units/terminal-text.js";

/** A finding of this process, or of the records, where a worker of another version may have given it an unknown code. */
export interface ShownFinding {
  readonly state: ValidationState;
  readonly message: string;
  readonly code?: string | undefined;
  readonly database?: string | undefined;
  readonly object?: string | undefined;
  readonly objectType?: string | undefined;
  readonly remedy?: string | undefined;
}

/** Warnings and failures that a migration has reported so far. */
export function problemsOf(status: MigrationStatus): ShownFinding[] {
  const details = status.currentSubStateDetails.validationDetails;
  if (!details) return [];
  const flatten = (summaries: readonly ValidationSummary[], database?: string): ShownFinding[] =>
    summaries.flatMap(({ messages }) => messages.map((message) => ({ ...message, database })));
  return [
    ...flatten(details.serverLevelValidationDetails),
    ...details.dbLevelValidationDetails.flatMap(({ databaseName, summary }) => flatten(summary, databaseName)),
  ].filter(({ state }) => state !== "Succeeded");
}

const severity = ["Failed", "Warning", "Succeeded"];

/** Findings by severity, followed by their remedies on lines that can be copied. */
export function findingsTable(findings: readonly ShownFinding[]): string {
  const sorted = [...findings].sort((one, other) => severity.indexOf(one.state) - severity.indexOf(other.state));
  const table = formatTable(
    ["Status", "Code", "Database", "Impacted object", "Type", "Finding"],
    sorted.map((one) => [
      one.state,
      one.code ?? "",
      one.database ?? "",
      one.object ?? "",
      one.objectType ?? "",
      one.message,
    ]),
  );
  const remedies = sorted.flatMap(({ state, remedy, code, object }) =>
    state === "Succeeded" || remedy === undefined
      ? []
      : [
          `  ${[code ?? object, remedy]
            .filter(Boolean)
            .map((part) => escapeLine(part!))
            .join(": ")}`,
        ],
  );
  if (remedies.length === 0) return table;
  return [table, "", "To do:", ...new Set(remedies), "", `Codes: ${findingsPage}`].join("\n");
}
