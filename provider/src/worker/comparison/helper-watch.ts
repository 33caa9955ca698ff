import { PeriodicTask } from "../../async/periodic-task.js";
import { WaiterWatch } from "../../copy/waiter-watch.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { applicationNameOf } from "../../postgres/connection/connect.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { ComparisonTasks } from "../../store/copy-tasks/comparison-tasks.js";
import type { SharedComparison } from "../../store/copy-tasks/shared-comparison.js";
import { TakenOverError, TimeoutError, messageOf } from "../../errors.js";
import { ChangeReporter } from "../../log.js";
import { helperName } from "../context/session-owner.js";
import type { Work } from "../context/work.js";

const everyMs = 500;
/** Every nth look also searches for helpers that are stopped. Their tasks are only read again, so that a mistake costs little. */
const looksPerEviction = 4;
const silentForSeconds = 10;
/** A helper itself releases a table earlier, unless it is stopped or lost. */
const patienceMs = 600;

/** How helpers compare the same rows. */
export type ComparisonPlace = Pick<SharedComparison, "occasion" | "snapshotId" | "targetSnapshotId"> & {
  readonly database: string;
};

/** Purpose of the sessions in which a helper compares. Other processes find them by its name. */
export const purposeOfHelper = (worker: string, migration: string): string =>
  `compare ${worker.slice(-8)} ${migration}`;

/**
 * Watches the helpers of a comparison. Tasks of lost ones are returned, and their sessions, which would keep snapshot and locks, are
 * terminated. So is a session of a stopped helper, for whose lock an application waits.
 */
export class HelperWatch {
  readonly #work: Work;
  readonly #place: ComparisonPlace;
  readonly #tasks: ComparisonTasks;
  readonly #looking: PeriodicTask;
  readonly #waiters: WaiterWatch | undefined;
  readonly #failures = new ChangeReporter();
  #others: readonly string[] = [];
  #looks = 0;

  constructor(work: Work, place: ComparisonPlace, tasks: ComparisonTasks) {
    const { source, signal } = work;
    const { database, occasion } = place;
    this.#work = work;
    this.#place = place;
    this.#tasks = tasks;
    this.#looking = new PeriodicTask({
      everyMs,
      run: () => this.#look().catch((error: unknown) => this.#reportFailure(error)),
      // The leader itself has then lost its lease.
      onFailure: () => undefined,
      signal,
    });
    // Otherwise no application works with the source, or the copy has locked the tables anyway.
    if (occasion !== "verification") return;
    const holders = () => ({ pids: [], applicationNames: this.#others.map((one) => this.#nameOf(one)) });
    const onWaiter = ({ holder }: { readonly holder: number }) =>
      this.#terminate("source", "pid = $1", [holder]).catch(() => undefined);
    this.#waiters = new WaiterWatch({ source, database, holders, patienceMs, onWaiter });
  }

  async close(): Promise<void> {
    await this.#looking.close();
    await this.#waiters?.close();
  }

  #nameOf(worker: string): string {
    const { spec, owner } = this.#work;
    return applicationNameOf(purposeOfHelper(worker, spec.migrationName), owner && helperName(owner));
  }

  async #look(): Promise<void> {
    if (++this.#looks % looksPerEviction === 0) await this.#tasks.evictSilentWorkers(silentForSeconds);
    for (const worker of await this.#tasks.takeBack()) await this.#endSessions(worker);
    this.#others = await this.#tasks.others();
  }

  /** The next look may succeed, unless the lease is lost. */
  #reportFailure(error: unknown): void {
    if (error instanceof TakenOverError || error instanceof TimeoutError) throw error;
    this.#failures.report(`cannot watch the helpers of the comparison: ${messageOf(error)}`);
  }

  async #endSessions(worker: string): Promise<void> {
    const { journal } = this.#work;
    const { database } = this.#place;
    await journal.event("a helper of the comparison was lost; its tables are compared again", {
      database,
      level: "warning",
    });
    const names = [this.#nameOf(worker)];
    for (const side of ["source", "target"] as const)
      await this.#terminate(side, "application_name = $1", names).catch((error: unknown) =>
        journal.event(`cannot terminate the sessions of a lost helper on the ${side}: ${messageOf(error)}`, {
          database,
          level: "warning",
        }),
      );
  }

  async #terminate(side: "source" | "target", which: string, values: readonly unknown[]): Promise<void> {
    const { source, target, spec } = this.#work;
    const { database } = this.#place;
    const place = side === "source" ? { database } : { database: targetDatabase(spec, database) };
    await withSession(
      side === "source" ? source : target,
      { ...place, purpose: `${spec.migrationName} take over` },
      (session) =>
        session.query(
          `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
            WHERE ${which} AND pid <> pg_catalog.pg_backend_pid()`,
          [...values],
        ),
    );
  }
}
