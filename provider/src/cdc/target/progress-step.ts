import type { Lsn } from "../../postgres/lsn.js";
import type { BatchCounts } from "../model/change-counts.js";

/** What a transaction on the target adds to the progress. */
export interface ProgressStep {
  readonly migration: string;
  readonly generation: number;
  /** The appliedThroughLsn that this step starts from. */
  readonly from: Lsn;
  readonly lastCommitEndLsn: Lsn;
  readonly appliedThroughLsn: Lsn;
  readonly commitTimeMs: number | undefined;
  readonly counts: BatchCounts;
}
