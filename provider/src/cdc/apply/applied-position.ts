import type { Lsn } from "../../postgres/lsn.js";
import { addTable, type ChangeCounts, sum, type TableChanges, type TableCounts } from "../model/change-counts.js";
import type { Progress } from "../target/progress.js";
import type { ProgressStep } from "../target/progress-step.js";

/** The position and counts that are durable on the target. */
export class AppliedPosition {
  #lastCommitLsn: Lsn;
  #lastCommitEndLsn: Lsn;
  #appliedThroughLsn: Lsn;
  #counts: ChangeCounts;
  readonly #tables: Map<string, TableChanges>;

  constructor({ lastCommitEndLsn, appliedThroughLsn, counts }: Progress, tables: TableCounts) {
    this.#lastCommitEndLsn = lastCommitEndLsn;
    // The progress row has only the end of the commit record. Every LSN inside the record has the same meaning.
    this.#lastCommitLsn = lastCommitEndLsn - 1n;
    this.#appliedThroughLsn = appliedThroughLsn;
    this.#counts = counts;
    this.#tables = new Map(tables);
  }

  /** Start of the commit record of the last transaction. */
  get lastCommitLsn(): Lsn {
    return this.#lastCommitLsn;
  }

  /** End of the commit record of the last transaction. */
  get lastCommitEndLsn(): Lsn {
    return this.#lastCommitEndLsn;
  }

  /** Everything that committed on the source at or before this LSN is durable on the target. */
  get appliedThroughLsn(): Lsn {
    return this.#appliedThroughLsn;
  }

  get counts(): ChangeCounts {
    return this.#counts;
  }

  /** A map that later steps extend. */
  get tables(): TableCounts {
    return this.#tables;
  }

  /** @param lastCommitLsn undefined for a step without a transaction */
  advance(step: ProgressStep, lastCommitLsn: Lsn | undefined): void {
    this.#counts = sum(this.#counts, step.counts.all);
    for (const table of step.counts.tables.values()) addTable(this.#tables, table);
    this.#lastCommitEndLsn = step.lastCommitEndLsn;
    this.#lastCommitLsn = lastCommitLsn ?? this.#lastCommitLsn;
    this.#appliedThroughLsn = step.appliedThroughLsn;
  }
}
