import { setTimeout as sleep } from "node:timers/promises";
import { NotFound } from "../errors.js";
import { hasEnded, type MigrationStatus } from "../status.js";
import { readStatus } from "../store/read-status.js";
import type { Store } from "../store/store.js";
import { progressLine } from "../supervisor/describe-progress.js";
import type { Lines } from "./output/progress-lines.js";

const pollMs = 500;

/** Shows where a migration is until it has ended; answers its last status. */
export async function follow(store: Store, name: string, lines: Lines): Promise<MigrationStatus> {
  try {
    for (;;) {
      const status = await readStatus(store, name);
      if (!status)
        throw new NotFound(`the migration ${name} was deleted while it was followed`, {
          remedy: "see which there are: pg-migration list",
        });
      lines.report(progressLine(status));
      if (hasEnded(status.state)) return status;
      await sleep(pollMs);
    }
  } finally {
    lines.close();
  }
}
