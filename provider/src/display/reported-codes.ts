import type { CatalogueEntry } from "../finding-codes/catalogue-entry.js";
import { findingCatalogue } from "../finding-codes/finding-code.js";
import type { ValidationState } from "../status.js";
import { groupFindings, type ReportedCode } from "./finding-groups.js";

/** A finding of the records or of a status. A worker of another version may have given it an unknown code. */
export interface RecordedFinding {
  readonly state: ValidationState;
  readonly message: string;
  readonly code?: string | null | undefined;
  readonly remedy?: string | null | undefined;
}

/** The failures and warnings among findings, once for each code, with its general meaning and remedy. */
export function reportedCodes(findings: readonly RecordedFinding[]): ReportedCode[] {
  const described = findings.flatMap(({ state, code, message, remedy }): ReportedCode[] => {
    if (state === "Succeeded") return [];
    const { meaning, remedy: general } = entryOf(code) ?? { meaning: message, remedy };
    return [{ state, code: code ?? null, meaning, remedy: general ?? null }];
  });
  return groupFindings([{ name: "", findings: described }]).map(({ members: _members, ...one }) => one);
}

const catalogue: ReadonlyMap<string, CatalogueEntry> = new Map(Object.entries(findingCatalogue));

const entryOf = (code: string | null | undefined): CatalogueEntry | undefined => catalogue.get(code ?? "");
