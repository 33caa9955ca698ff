import type { SkippedEntry } from "../../schema/restore/restore-context.js";
import type { Entry } from "../../schema/sql/toc-entries.js";

/** A table to copy, or one index or constraint to build on it. */
export interface NewCopyTask {
  readonly kind: "table" | "index";
  readonly schema: string;
  readonly table: string;
  /** Name for display: the table's or the index's name. */
  readonly entry: string;
  readonly bytesTotal: number;
  readonly rowsEstimated: number;
  /** A whole table with few rows, or an index of such a table. Small tasks are claimed together. */
  readonly small: boolean;
  /** False for an index whose table is also a task: it waits for the table. */
  readonly ready: boolean;
  /** The table's rows require rows of other tables on the target. It waits for all tables that are not deferred. */
  readonly deferred: boolean;
  /** SQL condition on the rows, if the table is copied in parts. */
  readonly condition?: string | undefined;
  /** For an index: the entry to execute. */
  readonly build?: Entry | undefined;
}

export interface CopyTask {
  readonly id: number;
  readonly kind: "table" | "index";
  readonly schema: string;
  readonly table: string;
  /** As in {@link NewCopyTask}. */
  readonly deferred: boolean;
  readonly condition: string | undefined;
  readonly build: Entry | undefined;
  /** The task was returned to the queue because its worker died. */
  readonly returned: boolean;
}

/** The amounts of a copied table. */
export interface CompletedCopyTask {
  readonly id: number;
  readonly bytes: number;
  readonly rows: number;
}

/** The entries that the target refused, as in `RestoreContext`. */
export interface Skipped {
  readonly entries: readonly (readonly [id: number, skipped: SkippedEntry])[];
  readonly missing: readonly string[];
}

/** The target session that executes a claimed task. The work ends with the session. */
export interface TargetSession {
  readonly pid: number;
  /** Its backend_start, because process IDs are reused. */
  readonly since: string;
}

/** Numbers of tasks by kind. */
export interface Counts {
  readonly tables: number;
  readonly indexes: number;
}

/** Tasks returned to the queue because their workers died. */
export interface Returned {
  readonly completed: number;
  readonly queued: number;
}

/** SQL condition: the tasks `u` of one database. `$1` and `$3` are the migration and the database. */
export const ours = "u.migration = $1 AND u.database = $3";
