import type { TableToCopy } from "../../copy/tables-to-copy.js";
import { TakenOverError } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import type { RestoreContext } from "../../schema/restore/restore-context.js";
import type { RestoreFinding } from "../../schema/sql/restore-findings.js";
import type { CopyTasks } from "../../store/copy-tasks/copy-tasks.js";
import type { OnSlowedDown, Work } from "../context/work.js";

/** One worker's part in the copy of a database. */
export interface CopyTaskRun {
  readonly work: Work;
  readonly database: string;
  readonly tasks: CopyTasks;
  /** Undefined if all tables are copied. */
  readonly snapshotId: string | undefined;
  readonly tables: readonly TableToCopy[];
  readonly context: RestoreContext;
  readonly signal: AbortSignal;
  /** Shows which replica slows the copy down. */
  readonly onSlowedDown?: OnSlowedDown;
  /** Runs after all tables, and the leader's steps beside them, while indexes are still being built. */
  readonly onTablesCopied?: () => Promise<void>;
  readonly onFindings: (findings: readonly RestoreFinding[]) => Promise<void>;
}

/** Whether the task itself failed. After a failure of this worker, another worker or attempt repeats the task. */
export const isTaskFailure = (error: unknown, signal: AbortSignal): boolean =>
  !(signal.aborted || error instanceof TakenOverError || isConnectionLoss(error));
