import type { Client } from "pg";
import { withSession } from "../../postgres/connection/with-session.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { Semaphore } from "../../async/semaphore.js";
import type { Work } from "./work.js";

export interface ParallelSteps<Step> {
  readonly work: Work;
  readonly database: string;
  /** Purpose of the sessions, part of their application_name. */
  readonly purpose: string;
  /** Steps of one group run one after another. */
  readonly groups: readonly (readonly Step[])[];
  readonly signal: AbortSignal;
  /** Brief steps do not queue with the index jobs of other databases, which may take hours. */
  readonly areBrief?: boolean;
  readonly run: (target: Client, step: Step, signal: AbortSignal) => Promise<void>;
}

/** Runs groups of steps on the target in parallel, limited to the number of index jobs. The first failure stops all. */
export async function runInParallel<Step>(options: ParallelSteps<Step>): Promise<void> {
  const { work, groups, areBrief = false } = options;
  const slots = areBrief ? new Semaphore(() => work.indexSlots.limit()) : work.indexSlots;
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const waiting = [...groups];
  const runners = Array.from({ length: Math.min(work.indexSlots.limit(), groups.length) }, async () => {
    try {
      await runGroups(options, waiting, slots, signal);
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  });
  await Promise.allSettled(runners);
  signal.throwIfAborted();
}

async function runGroups<Step>(
  { work, database, purpose, run }: ParallelSteps<Step>,
  waiting: (readonly Step[])[],
  slots: Semaphore,
  signal: AbortSignal,
): Promise<void> {
  const options = {
    database: targetDatabase(work.spec, database),
    purpose: `${work.spec.migrationName} ${purpose}`,
  };
  await withSession(work.target, options, async (target) => {
    for (let group = waiting.shift(); group; group = waiting.shift()) {
      const steps = group;
      await slots.run(async () => {
        for (const step of steps) {
          signal.throwIfAborted();
          await run(target, step, signal);
        }
      });
    }
  });
}
