import type { Client } from "pg";
import { connect } from "../../postgres/connection/connect.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { JobSlots } from "../../async/semaphore.js";
import type { Work } from "../work.js";

export interface StepsSideBySide<Step> {
  readonly work: Work;
  readonly database: string;
  /** What the sessions are for, in their names. */
  readonly purpose: string;
  /** Steps of one group run one after another. */
  readonly groups: readonly (readonly Step[])[];
  readonly signal: AbortSignal;
  /** Steps that are soon over do not wait for turns among all index jobs, of which another database's may take hours. */
  readonly areBrief?: boolean;
  readonly run: (target: Client, step: Step, signal: AbortSignal) => Promise<void>;
}

/** Runs groups of steps on the target at the same time, as many as index jobs may run. The first failure ends all of it. */
export async function sideBySide<Step>(options: StepsSideBySide<Step>): Promise<void> {
  const { work, groups, areBrief = false } = options;
  const slots = areBrief ? new JobSlots(() => work.indexSlots.limit()) : work.indexSlots;
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
  { work, database, purpose, run }: StepsSideBySide<Step>,
  waiting: (readonly Step[])[],
  slots: JobSlots,
  signal: AbortSignal,
): Promise<void> {
  const target = await connect(work.target, {
    database: targetDatabase(work.wish, database),
    purpose: `${work.wish.migrationName} ${purpose}`,
  });
  try {
    for (let group = waiting.shift(); group; group = waiting.shift()) {
      const steps = group;
      await slots.run(async () => {
        for (const step of steps) {
          signal.throwIfAborted();
          await run(target, step, signal);
        }
      });
    }
  } finally {
    await target.end();
  }
}
