import type { Finding } from "../findings.js";
import type { MigrationStatus, ValidationSummary } from "../status.js";
import { formatTable } from "./format-table.js";
import { escapeLine } from "../units/terminal-text.js";

/** Warnings and failures that a migration has reported so far. */
export function problemsOf(status: MigrationStatus): Finding[] {
  const details = status.currentSubStateDetails.validationDetails;
  if (!details) return [];
  const flatten = (summaries: readonly ValidationSummary[], database?: string): Finding[] =>
    summaries.flatMap(({ type, messages }) => messages.map((message) => ({ ...message, database, type })));
  return [
    ...flatten(details.serverLevelValidationDetails),
    ...details.dbLevelValidationDetails.flatMap(({ databaseName, summary }) => flatten(summary, databaseName)),
  ].filter(({ state }) => state !== "Succeeded");
}

const severity = ["Failed", "Warning", "Succeeded"];

/** Findings by severity, followed by their remedies on lines that can be copied. */
export function findingsTable(findings: readonly Finding[]): string {
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
  return remedies.length === 0 ? table : [table, "", "To do:", ...new Set(remedies)].join("\n");
}
