import type { MigrationState, WorkerState } from "../status.js";

/** The facts of a migration that decide how urgently it needs a user. */
export interface Urgency {
  /** Undefined for a target without a migration. */
  readonly state: MigrationState | undefined;
  readonly workerState: WorkerState | undefined;
  /** Tables found to differ. */
  readonly different: number;
  /** Whether the target could not be read. */
  readonly isUnreachable: boolean;
}

/**
 * The place in a list of many targets, smallest first: 0 failed, 1 without a worker, 2 unreachable target, 3 waiting for the
 * user, 4 running, 5 ended.
 */
export function attentionRank({ state, workerState, different, isUnreachable }: Urgency): number {
  if (state === "Failed" || state === "ValidationFailed" || different > 0) return 0;
  if (workerState === "lost") return 1;
  if (isUnreachable) return 2;
  if (state === "WaitingForUserAction") return 3;
  return state === undefined || state === "Succeeded" || state === "Canceled" ? 5 : 4;
}

/** Whether a migration of this rank comes before those that need no user. */
export const needsUser = (rank: number): boolean => rank <= 3;
