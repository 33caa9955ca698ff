import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import type { DatabaseRecord } from "../store/records.js";
import { JobSlots } from "../async/semaphore.js";
import { LocalHelpers } from "./run/local-copy-helpers.js";
import { rideOut } from "./ride-out.js";
import type { RunContext } from "./context/run-context.js";
import type { Work } from "./work.js";

const databasesAtOnce = 4;

/** Copies of whole databases, with this machine's helpers, a few at the same time. */
export class PatientCopies {
  readonly #context: RunContext;
  readonly #helpers: LocalHelpers;
  /** Each database that is copied has a dozen sessions open; both servers have room for a hundred by default. */
  readonly #slots = new JobSlots(() => databasesAtOnce);

  constructor(context: RunContext) {
    const { job, signal } = context;
    this.#context = context;
    this.#helpers = new LocalHelpers(job, () => job.workers ?? context.wish.workers, signal);
  }

  /**
   * A copy whose servers were away begins anew when they are back, or goes on where somebody has kept its snapshot. A stream
   * waits for them by itself.
   *
   * @param run is given the present record of the database each time
   */
  run<T>(database: DatabaseRecord, work: Work, run: (record: DatabaseRecord) => Promise<T>): Promise<T> {
    return this.#slots.run(() => {
      const copy = (): Promise<T> => this.#ridingOut(database, work, run);
      return isToBeCopied(database) ? this.#helpers.during(copy) : copy();
    });
  }

  #ridingOut<T>(database: DatabaseRecord, work: Work, run: (record: DatabaseRecord) => Promise<T>): Promise<T> {
    let record = database;
    let canBeginAnew = false;
    const refresh = async (): Promise<void> => {
      record = (await this.#context.currentDatabase(record.name)) ?? record;
      canBeginAnew = isToBeCopied(record);
    };
    const patience = this.#context.patience((error) => canBeginAnew && isConnectionLoss(error));
    return rideOut({ ...patience, signal: work.signal }, async () => {
      try {
        return await run(record);
      } catch (error) {
        if (!work.signal.aborted && isConnectionLoss(error)) await refresh();
        throw error;
      }
    });
  }
}

export const isToBeCopied = ({ phase }: DatabaseRecord): boolean => phase === "queued" || phase === "copying";
