import type { DatabaseRecord } from "../../store/records.js";
import { DatabaseFence } from "../cleanup/database-fence.js";
import type { Work } from "../context/work.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { copyDatabase } from "../initial-copy/copy-database.js";
import { type CopyEnd, leaveToUsers } from "../initial-copy/finish-copy.js";
import type { CopyScheduler } from "./copy-scheduler.js";
import type { DatabaseSteps } from "./database-steps.js";

/** Copies the databases of an offline migration, each behind its fence. */
export class OfflineRun {
  readonly #steps: DatabaseSteps;
  readonly #copies: CopyScheduler;

  constructor(steps: DatabaseSteps, copies: CopyScheduler) {
    this.#steps = steps;
    this.#copies = copies;
  }

  run(databases: readonly DatabaseRecord[]): Promise<void> {
    return this.#steps.allEnd(databases, async (database, work) => {
      work.signal.throwIfAborted();
      await this.#copies.run(database, work, (record) => copyBehindFence(work, record));
      await work.journal.database(database.name, { phase: "done", state: "Succeeded", message: null });
    });
  }
}

/**
 * The fence stays after success, as after a cutover. After a failure or a cancellation, `MigrationCleanup` lifts it. A worker
 * that is stopped or killed leaves it to its successor, which may resume the copy of the same snapshot.
 */
async function copyBehindFence(work: Work, record: DatabaseRecord): Promise<void> {
  const fence = new DatabaseFence(work, record, "source");
  if (record.phase === "completing") await completeCopy(work, record);
  else {
    if (work.spec.fence === "readOnly") await fence.putUp();
    else await fence.takeDown();
    await copyDatabase(work, { ...record, fences: { ...record.fences, source: fence.replaced } });
  }
  // An update may have lifted the fence meanwhile.
  if (work.spec.fence === "none") await fence.takeDown();
}

/** The database is copied and compared: its worker ended before it was handed over. The source may be gone since then. */
function completeCopy(work: Work, { targetName, deferredPlan }: DatabaseRecord): Promise<void> {
  const place = { database: targetName, purpose: `${work.spec.migrationName} finish` };
  return withSession(work.target, place, (target) => leaveToUsers(work, target, deferredPlan as CopyEnd | null));
}
