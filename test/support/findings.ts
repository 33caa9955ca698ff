import assert from "node:assert/strict";
import type { MigrationStatus, ValidationMessage } from "../../provider/src/status";

/** The findings of a migration, or of one of its databases only. */
export function findingsOf(status: MigrationStatus, database?: string): ValidationMessage[] {
  const details = status.currentSubStateDetails.validationDetails;
  if (!details) return [];
  const ofServers = database === undefined ? details.serverLevelValidationDetails : [];
  const ofDatabases = details.dbLevelValidationDetails
    .filter(({ databaseName }) => database === undefined || databaseName === database)
    .flatMap(({ summary }) => summary);
  return [...ofServers, ...ofDatabases]
    .flatMap(({ messages }) => messages)
    .filter(({ state }) => state !== "Succeeded");
}

/** A finding as one text, `object: message`. */
export const findingText = ({ object, message }: ValidationMessage): string => `${object ?? ""}: ${message}`;

/** All findings with their remedies, one a line: `object: message To do: remedy`. */
export const findingLines = (status: MigrationStatus): string =>
  findingsOf(status)
    .map((finding) => `${findingText(finding)} To do: ${finding.remedy ?? "nothing"}`)
    .map((line) => line.replaceAll("\n", " "))
    .join("\n");

/** Fails unless the text of a single finding matches. */
export function assertFinding(status: MigrationStatus, expected: RegExp, database?: string): void {
  const texts = findingsOf(status, database).map(findingText);
  assert(
    texts.some((text) => expected.test(text)),
    `no finding matches ${expected.source}:\n${texts.join("\n")}`,
  );
}
