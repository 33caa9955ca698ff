import { setTimeout as sleep } from "node:timers/promises";
import { hasEnded } from "../../status.js";
import { readStatus } from "../../store/read-status.js";
import { Store, type StoreAddress } from "../../store/store.js";

const pollMs = 200;

/**
 * Runs an operation that would follow a migration to its goal, and answers once a worker has begun or it has ended. The
 * worker outlives this process, which its caller ends with what still follows.
 */
export async function begin(
  address: StoreAddress,
  name: string,
  operation: (report: (line: string) => void) => Promise<unknown>,
): Promise<void> {
  let recorded: () => void = () => undefined;
  const isRecorded = new Promise<void>((resolve) => {
    recorded = resolve;
  });
  await Promise.race([operation(() => recorded()), isRecorded.then(() => untilBegun(address, name))]);
}

async function untilBegun(address: StoreAddress, name: string): Promise<void> {
  const store = await Store.open(address, `${name} command`);
  try {
    for (;;) {
      const status = await readStatus(store, name);
      if (!status || status.worker.state === "running" || hasEnded(status.state)) return;
      await sleep(pollMs);
    }
  } finally {
    await store.close();
  }
}
