import { findingGroupsTable, findingsTable, problemsOf, type ShownFinding } from "../../display/findings-table.js";
import type { FindingGroup } from "../../display/finding-groups.js";
import type { MigrationStatus } from "../../status.js";
import { inCommandTerms } from "./command-terms.js";

/** Findings with remedies in the words of the command. */
export const formatFindings = (findings: readonly ShownFinding[]): string =>
  findingsTable(
    findings.map((one) => ({ ...one, remedy: one.remedy === undefined ? undefined : inCommandTerms(one.remedy) })),
  );

/** The findings of many migrations, with remedies in the words of the command. */
export const formatFindingGroups = (groups: readonly FindingGroup[]): string =>
  findingGroupsTable(
    groups.map((one) => ({ ...one, remedy: one.remedy === null ? null : inCommandTerms(one.remedy) })),
  );

/** Warnings and failures of a migration as a table; empty without any. */
export function problemLines(status: MigrationStatus): string[] {
  const problems = problemsOf(status);
  return problems.length === 0 ? [] : formatFindings(problems).split("\n");
}
