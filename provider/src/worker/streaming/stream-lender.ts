import { PeriodicTask } from "../../async/periodic-task.js";
import { engineVersion } from "../../engine-version.js";
import { messageOf } from "../../errors.js";
import { ChangeReporter } from "../../log.js";
import type { WriteFence } from "../../store/lease.js";
import { deleteLoan, readLoans, type StreamLoanRecord } from "../../store/streams/lent-streams.js";
import { BorrowerBackoff } from "./borrower-backoff.js";
import type { LiveStream } from "./live-stream.js";

const everyMs = 1000;

export interface StreamLenderOptions {
  readonly lease: WriteFence;
  /** The streams of this worker, by database. */
  readonly streams: () => ReadonlyMap<string, LiveStream>;
  /** Whether the database is not about to be cut over. */
  readonly mayLend: (database: string) => boolean;
}

/** Answers workers of other pool processes that ask for a stream of this migration, and takes streams back. */
export class StreamLender {
  readonly #options: StreamLenderOptions;
  readonly #backoff = new BorrowerBackoff();
  readonly #failures = new ChangeReporter();
  /** Databases whose request or loan is being handled. */
  readonly #busy = new Set<string>();
  readonly #looking: PeriodicTask;

  constructor(options: StreamLenderOptions) {
    this.#options = options;
    this.#looking = new PeriodicTask({
      everyMs,
      run: () => this.#look().catch((error: unknown) => this.#reportFailure(error)),
      onFailure: () => undefined,
    });
  }

  async close(): Promise<void> {
    await this.#looking.close();
  }

  async #look(): Promise<void> {
    const { lease, streams } = this.#options;
    const loans = new Map((await readLoans(lease)).map((loan) => [loan.database, loan]));
    for (const database of loans.keys()) if (!streams().has(database)) await deleteLoan(lease, database);
    for (const [database, stream] of streams()) {
      const loan = loans.get(database);
      const isConcerned = loan !== undefined || stream.borrower !== undefined;
      if (!isConcerned || this.#busy.has(database)) continue;
      this.#busy.add(database);
      // Not awaited: a stream that is paused must not delay the others.
      void this.#handle(database, stream, loan)
        .catch((error: unknown) => this.#reportFailure(error))
        .finally(() => this.#busy.delete(database));
    }
  }

  async #handle(database: string, stream: LiveStream, loan: StreamLoanRecord | undefined): Promise<void> {
    if (stream.borrower !== undefined) return this.#attend(database, stream, loan);
    if (!loan) return;
    if (loan.state !== "asked" || loan.isLost) return deleteLoan(this.#options.lease, database);
    if (this.#accepts(loan)) await stream.lend(loan);
  }

  async #attend(database: string, stream: LiveStream, loan: StreamLoanRecord | undefined): Promise<void> {
    const isRight = loan?.borrower === stream.borrower && loan?.state === "lent" && !loan.isLost;
    const isWanted = this.#options.mayLend(database);
    if (isRight && isWanted) {
      stream.noteLoan(loan);
      return;
    }
    const hasFailed = loan !== undefined && (loan.isLost || loan.error !== null);
    if (hasFailed) this.#backoff.noteFailure(loan.pool, Date.now());
    else if (loan) this.#backoff.noteSuccess(loan.pool);
    await stream.takeBack(reasonOf(loan, isWanted));
  }

  /** This worker keeps one stream at least. */
  #accepts({ database, pool, engineVersion: version }: StreamLoanRecord): boolean {
    const { streams, mayLend } = this.#options;
    const kept = [...streams()].filter(
      ([name, stream]) =>
        stream.isRunning && stream.borrower === undefined && (name === database || !this.#busy.has(name)),
    );
    const isSuitable = version === engineVersion && !this.#backoff.isRefused(pool, Date.now());
    return isSuitable && mayLend(database) && kept.length > 1;
  }

  #reportFailure(error: unknown): void {
    this.#failures.report(`cannot lend streams or take them back now: ${messageOf(error)}`);
  }
}

function reasonOf(loan: StreamLoanRecord | undefined, isWanted: boolean): string {
  if (loan === undefined) return "its record was deleted";
  if (loan.error !== null) return loan.error;
  if (loan.isLost) return "it was lost";
  return isWanted ? "it returned the stream" : "the cutover begins";
}
