/** What one code means, for every finding and error that has it. */
export interface CatalogueEntry {
  readonly meaning: string;
  /** The states of its findings. Only `Failed` blocks a migration. An error always has the effect of `Failed`. */
  readonly severity: "Warning" | "Failed" | "Warning or Failed";
  /** What to do in general. A finding has the exact command. */
  readonly remedy: string;
  /** The privilege that is missing, or that the remedy requires. */
  readonly privilege?: string;
  /** Its warnings name objects, rows or privileges of the source that the target does not get. */
  readonly omits?: true;
}

/** Codes with their entries. */
export type Catalogue = Readonly<Record<string, CatalogueEntry>>;
