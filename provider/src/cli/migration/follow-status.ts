import { setTimeout as sleep } from "node:timers/promises";
import { NotFoundError } from "../../errors.js";
import { hasEnded, type MigrationStatus } from "../../status.js";
import { readStatus } from "../../store/read-status.js";
import type { Store } from "../../store/store.js";
import { readAsked, type Asked } from "../../store/requests.js";
import { refuseWithdrawn } from "../../supervisor/refuse-withdrawn.js";
import { goalFromInputs, refuseReplaced, type Goal, type GoalInputs } from "../../supervisor/wait-target.js";
import { progressLine } from "../../supervisor/describe-progress.js";
import type { ProgressLines } from "../output/progress-lines.js";

const pollMs = 500;

/**
 * Reports the progress of a migration until it has ended, or until the goal of its inputs.
 *
 * @param inputs what the command requested
 * @returns the last status
 * @throws RefusedError when the request was withdrawn
 */
export async function followStatus(
  store: Store,
  name: string,
  lines: ProgressLines,
  inputs?: GoalInputs,
): Promise<MigrationStatus> {
  const goal = inputs && goalFromInputs(inputs);
  try {
    for (;;) {
      const status = await readStatus(store, name);
      if (!status)
        throw new NotFoundError(`the migration ${name} was deleted during the command`, {
          remedy: "list the existing ones with pg-migration list",
        });
      lines.report(progressLine(status));
      if (hasEnded(status.state) || goal?.isReached(status) || goal?.isUnreachable(status)) return status;
      if (inputs && goal) refuseOutdated(status, await readAsked(store, name), inputs, goal);
      await sleep(pollMs);
    }
  } finally {
    lines.close();
  }
}

function refuseOutdated(status: MigrationStatus, asked: Asked, inputs: GoalInputs, goal: Goal): void {
  if (goal.verification !== undefined) refuseReplaced(status, goal.verification, asked.verifyNow);
  refuseWithdrawn(status, inputs, asked);
}
