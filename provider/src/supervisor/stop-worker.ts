import { setTimeout as sleep } from "node:timers/promises";
import { TimedOut } from "../errors.js";
import { leaseHolder } from "../store/lease.js";
import { fenceWorkers } from "../store/records.js";
import { request, withdrawRequest } from "../store/requests.js";
import type { Store } from "../store/store.js";

const gentlyMs = 20_000;
const forciblyMs = 20_000;

/**
 * Ends the worker of a migration, wherever it runs: asks it first, then ends the session that holds its lease, whereupon
 * it finds itself fenced off. Answers when nobody holds the lease.
 */
export async function stopWorker(store: Store, migration: string): Promise<void> {
  try {
    if (!(await leaseHolder(store, migration))) return;
    await request(store, migration, "stop");
    if (await freeWithin(store, migration, gentlyMs)) return;
    // Fenced first: a worker whose session ends would else take the lease again.
    await fenceWorkers(store, migration);
    const holder = await leaseHolder(store, migration);
    if (holder) await store.query("SELECT pg_terminate_backend($1)", [holder.backendPid]);
    if (await freeWithin(store, migration, forciblyMs)) return;
    throw new TimedOut(`the worker of ${migration} did not give up its lease`, {
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
