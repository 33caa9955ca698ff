import { log } from "../../log.js";
import { messageOf } from "../../errors.js";
import type { Journal } from "../../store/journal.js";
import { holdsLease } from "../../store/lease.js";
import { isReadOnlyByDefault, readOnlyCode, readOnlyFinding } from "../../target-checks/read-only-default.js";
import { PeriodicTask } from "../../async/periodic-task.js";

const checkEveryMs = 3000;

/** Reports while a worker runs that the target becomes read-only. Azure does that to a server whose storage is nearly full. */
export class ReadOnlyTargetMonitor {
  readonly #journal: Journal;
  readonly #task: PeriodicTask;
  #reported: boolean | undefined;

  constructor(journal: Journal) {
    this.#journal = journal;
    this.#task = new PeriodicTask({
      everyMs: checkEveryMs,
      run: () => this.#check(),
      // The migration continues. A lost lease is detected by its other writes.
      onFailure: (error) => log.warn(`stopped checking whether the target is read-only: ${messageOf(error)}`),
    });
  }

  close(): Promise<void> {
    return this.#task.close();
  }

  async #check(): Promise<void> {
    const [row] = await this.#journal.lease.query<{ isReadOnly: boolean }>(
      `SELECT ${isReadOnlyByDefault} AS "isReadOnly" WHERE ${holdsLease}`,
    );
    if (row && row.isReadOnly !== this.#reported) await this.#report(row.isReadOnly);
  }

  async #report(isReadOnly: boolean): Promise<void> {
    await this.#journal.replaceFindings(undefined, readOnlyCode, isReadOnly ? [readOnlyFinding] : []);
    if (isReadOnly) await this.#journal.event(readOnlyFinding.message, { level: "warning" });
    this.#reported = isReadOnly;
  }
}
