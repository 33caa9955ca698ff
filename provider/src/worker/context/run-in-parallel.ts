import type { Client } from "pg";
import { withSession } from "../../postgres/connection/with-session.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { runGroups } from "../../async/run-groups.js";
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
export function runInParallel<Step>(steps: ParallelSteps<Step>): Promise<void> {
  const { work, database, purpose, groups, areBrief = false, run } = steps;
  const slots = areBrief ? new Semaphore(() => work.indexSlots.limit()) : work.indexSlots;
  const place = { database: targetDatabase(work.spec, database), purpose: `${work.spec.migrationName} ${purpose}` };
  return runGroups<Step, Client>({
    groups,
    atOnce: work.indexSlots.limit(),
    signal: steps.signal,
    withTool: (use) => withSession(work.target, place, use),
    runGroup: (target, group, signal) =>
      slots.run(async () => {
        for (const step of group) {
          signal.throwIfAborted();
          await run(target, step, signal);
        }
      }),
  });
}
