import type { DatabaseDetails } from "../../../status.js";

export interface Comparison {
  readonly compared: number;
  readonly different: number;
  /** Number of compared tables whose rows were only counted. */
  readonly counted: number;
}

/** The comparison at the cutover or at the end of the copy; before that, the last verification of a followed database. */
export function comparisonOf({ verification, ...one }: DatabaseDetails): Comparison {
  if (one.tablesCompared > 0)
    return { compared: one.tablesCompared, different: one.tablesDifferent, counted: one.tablesCounted };
  return { compared: verification?.tablesCompared ?? 0, different: verification?.tablesDifferent ?? 0, counted: 0 };
}
