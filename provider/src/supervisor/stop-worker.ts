import { setTimeout as sleep } from "node:timers/promises";
import { TimeoutError } from "../errors.js";
import { leaseHolder } from "../store/lease.js";
import { bumpGeneration } from "../store/records.js";
import { request, withdrawRequest } from "../store/requests.js";
import type { Store } from "../store/store.js";

const gracefulStopMs = 20_000;
const forcedStopMs = 20_000;

/**
 * Stops the worker of a migration on any host. Requests a stop first. After 20 s it fences the worker off and terminates the
 * session that holds its lease. Resolves when the lease is free.
 *
 * @throws TimeoutError if the lease is still held 20 s after that
 */
export async function stopWorker(store: Store, migration: string): Promise<void> {
  try {
    if (!(await leaseHolder(store, migration))) return;
    await request(store, migration, "stop");
    if (await freeWithin(store, migration, gracefulStopMs)) return;
    // Fence before terminating. Otherwise, the worker would reconnect and take the lease again.
    await bumpGeneration(store, migration);
    const holder = await leaseHolder(store, migration);
    if (holder) await store.query("SELECT pg_terminate_backend($1)", [holder.backendPid]);
    if (await freeWithin(store, migration, forcedStopMs)) return;
    throw new TimeoutError(`the worker of ${migration} did not release its lease`, {
      remedy: `SELECT pg_terminate_backend(${holder?.backendPid ?? 0}) on the target, then try again`,
    });
  } finally {
    await withdrawRequest(store, migration, "stop");
  }
}

async function freeWithin(store: Store, migration: string, ms: number): Promise<boolean> {
  const deadline = Date.now() + ms;
  while (Date.now() < deadline) {
    if (!(await leaseHolder(store, migration))) return true;
    await sleep(100);
  }
  return false;
}
