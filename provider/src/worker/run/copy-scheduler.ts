import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import type { DatabaseRecord } from "../../store/records.js";
import { defaultPatienceMs } from "../../copy/waiter-watch.js";
import { delay } from "../../async/delay.js";
import { Semaphore } from "../../async/semaphore.js";
import { ConcurrentChangeError } from "../../errors.js";
import { retry } from "../context/retry.js";
import type { RunContext } from "../context/run-context.js";
import type { Work } from "../context/work.js";
import { dumpPatienceMs } from "../initial-copy/take-snapshot.js";

const databasesAtOnce = 4;
/** How often a copy starts again after it released its locks for applications. After that, the database fails. */
const maxReleases = 20;
const pauseAfterReleaseMs = 500;
const maxPauseMs = 5000;

/** Copies a few databases at the same time, with copy helpers on this machine. */
export class CopyScheduler {
  readonly #context: RunContext;
  /** A copy opens about a dozen sessions. By default a server accepts a hundred. */
  readonly #slots = new Semaphore(() => databasesAtOnce);

  constructor(context: RunContext) {
    this.#context = context;
  }

  /**
   * Runs a copy, and retries it after an outage. The retry resumes the copy if another process held its snapshot; otherwise
   * it starts again. A running stream reconnects by itself.
   *
   * @param run is called with the current record of the database
   */
  run<T>(database: DatabaseRecord, work: Work, run: (record: DatabaseRecord) => Promise<T>): Promise<T> {
    return this.#slots.run(() => {
      const copy = (): Promise<T> => this.#runWithRetry(database, work, run);
      return isToBeCopied(database) ? this.#runWithinLimits(database, work, copy) : copy();
    });
  }

  #runWithinLimits<T>(database: DatabaseRecord, work: Work, copy: () => Promise<T>): Promise<T> {
    const report = (reason: string): Promise<void> => work.journal.event(reason, { database: database.name });
    return this.#context.limits.duringCopy(() => this.#context.helpers.during(copy), report, work.signal);
  }

  #runWithRetry<T>(database: DatabaseRecord, work: Work, run: (record: DatabaseRecord) => Promise<T>): Promise<T> {
    let record = database;
    let canRestart = false;
    const refresh = async (): Promise<void> => {
      record = (await this.#context.currentDatabase(record.name)) ?? record;
      // Offline, such a database only has to be handed over.
      canRestart = isToBeCopied(record) || record.phase === "completing";
    };
    const policy = this.#context.retryPolicy((error) => canRestart && isConnectionLoss(error));
    const runOnce = async (): Promise<T> => {
      try {
        return await run(record);
      } catch (error) {
        const isReleased = error instanceof ConcurrentChangeError;
        if (!work.signal.aborted && (isReleased || isConnectionLoss(error))) await refresh();
        if (!isReleased || !canRestart || !work.releases || ++work.releases.count > maxReleases) throw error;
        await reportRelease(work, record.name, error);
        await delay(Math.min(work.releases.count * pauseAfterReleaseMs, maxPauseMs), work.signal);
        return runOnce();
      }
    };
    return retry({ ...policy, signal: work.signal }, runOnce);
  }
}

async function reportRelease(work: Work, database: string, error: ConcurrentChangeError): Promise<void> {
  const [what] = error.message.split("\n");
  const text = `${what}; the copy starts again with another snapshot`;
  const patienceMs = dumpPatienceMs(work);
  const isLonger = work.spec.migrationMode === "Online" && patienceMs > defaultPatienceMs;
  const patience = `. Sessions then wait up to ${patienceMs / 1000} s for pg_dump`;
  await work.journal.event(`${text}${isLonger ? patience : ""}`, { database, level: "warning" });
}

export const isToBeCopied = ({ phase }: DatabaseRecord): boolean => phase === "queued" || phase === "copying";
