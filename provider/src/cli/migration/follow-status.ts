import { setTimeout as sleep } from "node:timers/promises";
import { NotFoundError } from "../../errors.js";
import { hasEnded, type MigrationStatus } from "../../status.js";
import { readStatus } from "../../store/read-status.js";
import type { Store } from "../../store/store.js";
import { readAsked } from "../../store/requests.js";
import { refuseWithdrawn, type Requested } from "../../supervisor/refuse-withdrawn.js";
import { progressLine } from "../../supervisor/describe-progress.js";
import type { ProgressLines } from "../output/progress-lines.js";

const pollMs = 500;

/**
 * Reports the progress of a migration until it has ended.
 *
 * @param requested what the command requested
 * @returns the last status
 * @throws RefusedError when the request was withdrawn
 */
export async function followStatus(
  store: Store,
  name: string,
  lines: ProgressLines,
  requested?: Requested,
): Promise<MigrationStatus> {
  try {
    for (;;) {
      const status = await readStatus(store, name);
      if (!status)
        throw new NotFoundError(`the migration ${name} was deleted during the command`, {
          remedy: "list the existing ones with pg-migration list",
        });
      lines.report(progressLine(status));
      if (hasEnded(status.state)) return status;
      if (requested) refuseWithdrawn(status, requested, await readAsked(store, name));
      await sleep(pollMs);
    }
  } finally {
    lines.close();
  }
}
