import { delay } from "../../async/delay.js";
import { withTimeout } from "../../async/with-timeout.js";
import { messageOf } from "../../errors.js";
import { log } from "../../log.js";
import { announceEnd, copiesWithoutHolder, hasOtherPools, heldSnapshots } from "../../store/leaving-worker.js";
import { type Store, withExistingStore } from "../../store/store.js";
import type { WorkerJob } from "../context/worker-job.js";

/** Shorter than the time after which the pool kills a worker. */
const longestMs = 15_000;
const pollMs = 500;

/**
 * Waits until other pool processes hold the snapshots of this worker's copies. The worker copies meanwhile. After its end, the next
 * worker resumes under the same snapshots, and copies no complete table again.
 */
export async function handOver(job: WorkerJob, stop: AbortSignal): Promise<void> {
  const over = new AbortController();
  const signal = AbortSignal.any([stop, over.signal]);
  const { migrationName } = job;
  const handedOver = withExistingStore(
    job,
    `${migrationName} hand-over`,
    async (store) => store && awaitHolders(store, migrationName, signal),
  ).catch((error: unknown) => log.warn(`the snapshots are not handed over: ${messageOf(error)}`));
  await withTimeout(handedOver, longestMs);
  over.abort();
}

async function awaitHolders(store: Store, migration: string, signal: AbortSignal): Promise<void> {
  const before = await heldSnapshots(store, migration);
  let open = await copiesWithoutHolder(store, migration, before);
  if (open.length === 0 || !(await hasOtherPools(store)) || !(await announceEnd(store, migration))) return;
  log.info(`handing over the copy of ${open.join(", ")}`);
  while (open.length > 0 && !signal.aborted) {
    await delay(pollMs, signal);
    open = await copiesWithoutHolder(store, migration, before);
  }
  const ended =
    open.length === 0 ? "another pool process holds every snapshot" : "no pool process holds every snapshot";
  log.info(ended);
}
