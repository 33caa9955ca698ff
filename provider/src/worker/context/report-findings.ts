import { summarize, type RestoreFinding } from "../../schema/sql/restore-findings.js";
import type { OmittedObject } from "../../store/journal.js";
import type { Work } from "./work.js";

/** Records objects that were skipped or changed as warnings. They do not stop a migration. */
export async function reportFindings(work: Work, database: string, findings: readonly RestoreFinding[]): Promise<void> {
  await work.journal.omitted(database, findings.filter(({ state }) => state === "Failed").map(omittedObject));
  await work.journal.findings(
    summarize(findings).map((finding) => ({
      database,
      type: "SchemaValidation",
      state: "Warning",
      code: finding.code,
      object: `${finding.objectType} ${finding.object}`,
      objectType: "Database",
      message: finding.message,
      remedy: finding.remedy,
    })),
  );
}

const omittedObject = ({ objectType, object, code, message, remedy }: RestoreFinding): OmittedObject => ({
  objectType,
  object,
  code,
  reason: message,
  remedy,
});
