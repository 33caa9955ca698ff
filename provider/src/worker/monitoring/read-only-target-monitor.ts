import type { Client } from "pg";
import { UnreachableError, messageOf } from "../../errors.js";
import type { Problem } from "../../findings.js";
import { log } from "../../log.js";
import type { Journal } from "../../store/journal.js";
import { holdsLease } from "../../store/lease.js";
import { isReadOnlyByDefault, readOnlyCode, readOnlyDefault } from "../../target-checks/read-only-default.js";
import { PeriodicTask } from "../../async/periodic-task.js";

const checkEveryMs = 3000;

type OpenTarget = (run: (session: Client) => Promise<Problem[]>) => Promise<Problem[]>;

/** Reports while a worker runs that the target becomes read-only. Azure does that to a server whose storage is nearly full. */
export class ReadOnlyTargetMonitor {
  readonly #journal: Journal;
  readonly #openTarget: OpenTarget;
  readonly #task: PeriodicTask;
  #reported: boolean | undefined;

  constructor(journal: Journal, openTarget: OpenTarget) {
    this.#journal = journal;
    this.#openTarget = openTarget;
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
    if (!row || row.isReadOnly === this.#reported) return;
    try {
      await this.#report(row.isReadOnly);
    } catch (error) {
      // The next check reports it.
      if (!(error instanceof UnreachableError)) throw error;
    }
  }

  async #report(isReadOnly: boolean): Promise<void> {
    const problems = isReadOnly ? await this.#openTarget(readOnlyDefault) : [];
    await this.#journal.replaceFindings(undefined, readOnlyCode, problems);
    for (const { message } of problems) await this.#journal.event(message, { level: "warning" });
    this.#reported = isReadOnly;
  }
}
