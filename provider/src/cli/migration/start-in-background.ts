import { setTimeout as sleep } from "node:timers/promises";
import { hasEnded } from "../../status.js";
import { readStatus } from "../../store/read-status.js";
import type { StoreAddress } from "../../store/installation/records-database.js";
import { withStore } from "../../store/store.js";

const pollMs = 200;

/**
 * Runs an operation that would wait for a migration's goal, and returns once a worker runs or the migration has ended. The
 * worker outlives this process. The caller must end the process, and the wait with it.
 */
export async function startInBackground(
  address: StoreAddress,
  name: string,
  operation: (report: (line: string) => void) => Promise<unknown>,
): Promise<void> {
  // The first report comes from the recorded status.
  let onRecorded: () => void = () => undefined;
  const recorded = new Promise<void>((resolve) => {
    onRecorded = resolve;
  });
  await Promise.race([operation(() => onRecorded()), recorded.then(() => untilStarted(address, name))]);
}

const untilStarted = (address: StoreAddress, name: string): Promise<void> =>
  withStore(address, `${name} command`, async (store) => {
    for (;;) {
      const status = await readStatus(store, name);
      if (!status || status.worker.state === "running" || hasEnded(status.state)) return;
      await sleep(pollMs);
    }
  });
