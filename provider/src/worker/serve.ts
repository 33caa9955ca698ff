import { setTimeout as sleep } from "node:timers/promises";
import { hasEnded, type MigrationState } from "../status.js";
import { leaseHolder } from "../store/lease.js";
import { readMigration } from "../store/records.js";
import { Store } from "../store/store.js";
import type { Job } from "./job.js";
import { runMigration } from "./run.js";

const pollMs = 2000;

/** A worker that was told to stop has time to be succeeded, or erased, before another takes the lease unasked. */
const freeForMs = 5000;

/** What a worker that stays sees of its migration. */
interface Sight {
  readonly state: MigrationState;
  readonly hasWorker: boolean;
}

/**
 * Does a migration's work whenever there is some, for containers and units that are started once: waits until the migration
 * is recorded, works, stands by while another worker works, tries again when an update asks for that, and ends when the
 * migration is deleted, or when it is told to stop.
 */
export async function serveMigration(job: Job, stop: AbortSignal): Promise<void> {
  let wasRecorded = false;
  let freeSince: number | undefined;
  let said = "";
  const say = (sentence: string): void => {
    if (sentence !== said) process.stdout.write(`${new Date().toISOString()} ${job.migrationName}: ${sentence}\n`);
    said = sentence;
  };
  while (!stop.aborted) {
    const sight = await look(job);
    if (!sight && wasRecorded) {
      say("is deleted; nothing is left to do");
      return;
    }
    if (!sight) say(`waits until the migration is recorded on ${job.target.host}:${job.target.port}`);
    else if (sight.hasWorker) say("another worker is at work; stands by");
    else if (hasEnded(sight.state)) say(`has ended as ${sight.state}; waits for another wish, or for its deletion`);
    const isFree = sight !== undefined && !sight.hasWorker && !hasEnded(sight.state);
    freeSince = isFree ? (freeSince ?? Date.now()) : undefined;
    // At first nobody can have been told to stop.
    if (isFree && (!wasRecorded || Date.now() - freeSince! >= freeForMs)) {
      say("works");
      await runMigration(job, stop);
      freeSince = undefined;
    }
    wasRecorded ||= sight !== undefined;
    await sleep(pollMs, undefined, { signal: stop }).catch(() => undefined);
  }
}

async function look(job: Job): Promise<Sight | undefined> {
  const store = await Store.find(job, `${job.migrationName} stand-by`);
  if (!store) return undefined;
  try {
    const record = await readMigration(store, job.migrationName);
    return record && { state: record.state, hasWorker: (await leaseHolder(store, job.migrationName)) !== undefined };
  } finally {
    await store.close();
  }
}
