import type { Budgets } from "../budgets/budget.js";
import { MigrationBudget } from "../budgets/migration-budget.js";
import type { WorkerJob } from "../context/worker-job.js";
import { runMigration } from "../run/run-migration.js";
import { admittedMessage, noRoomExitCode } from "./pool-worker.js";

/** A worker that waits keeps a place of its pool. */
const waitSeconds = 20;

/** Runs a migration within budgets. Sets the exit code if they have no room for it. */
export async function runInPool(job: WorkerJob, budgets: Budgets, stop: AbortSignal): Promise<void> {
  const budget = await MigrationBudget.admit(job, budgets, { seconds: waitSeconds, signal: stop });
  if (!budget) {
    process.exitCode = noRoomExitCode;
    return;
  }
  process.send?.(admittedMessage);
  try {
    await runMigration(job, stop, budget);
  } finally {
    await budget.close();
  }
}
