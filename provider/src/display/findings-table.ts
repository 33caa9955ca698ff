import type { MigrationStatus, ValidationState, ValidationSummary } from "../status.js";
import { findingsPage } from "../finding-codes/findings-page.js";
import type { FindingGroup } from "./finding-groups.js";
import { formatTable } from "./format-table.js";
import { enumerate } from "../units/enumerate.js";
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
  return withRemedies(
    table,
    sorted.flatMap(({ state, remedy, code, object }) =>
      state === "Succeeded" || remedy === undefined ? [] : [{ subject: code ?? object, remedy }],
    ),
  );
}

/** The findings of a fleet, one line for each code, followed by the remedies. */
export function findingGroupsTable(groups: readonly FindingGroup[]): string {
  const table = formatTable(
    ["Status", "Code", "Members", "Finding"],
    groups.map(({ state, code, members, meaning }) => [state, code ?? "", enumerate(members, 10), meaning]),
  );
  return withRemedies(
    table,
    groups.flatMap(({ code, remedy }) => (remedy === null ? [] : [{ subject: code ?? undefined, remedy }])),
  );
}

function withRemedies(
  table: string,
  remedies: readonly { readonly subject: string | undefined; readonly remedy: string }[],
): string {
  if (remedies.length === 0) return table;
  const lines = remedies.map(({ subject, remedy }) =>
    [subject, remedy]
      .filter((part) => part !== undefined && part !== "")
      .map((part) => escapeLine(part!))
      .join(": "),
  );
  return [table, "", "To do:", ...new Set(lines.map((line) => `  ${line}`)), "", `Codes: ${findingsPage}`].join("\n");
}
