import { summarize, type RestoreFinding } from "../../schema/sql/restore-findings.js";
import type { Work } from "./work.js";

/** Records objects that were skipped or changed as warnings. They do not stop a migration. */
export async function reportFindings(work: Work, database: string, findings: readonly RestoreFinding[]): Promise<void> {
  await work.journal.findings(
    summarize(findings).map((finding) => ({
      database,
      type: "SchemaValidation",
      state: "Warning",
      object: `${finding.objectType} ${finding.object}`,
      objectType: "Database",
      message: finding.message,
      remedy: finding.remedy,
    })),
  );
}
