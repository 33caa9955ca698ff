import { summarize, type RestoreFinding } from "../../schema/sql/restore-findings.js";
import type { Work } from "../work.js";

/** Puts what could not be carried over, or not as it was, among the findings. It does not stop a migration. */
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
