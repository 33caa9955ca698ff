import { LatestValue } from "../../async/latest-value.js";
import { log } from "../../log.js";
import type { FollowEvent, FollowStatus } from "../../cdc/follow-options.js";
import type { TableChanges, TableCounts } from "../../cdc/model/change-counts.js";
import type { FollowReport } from "../../store/journal.js";
import { formatBytes } from "../../units/byte-size.js";
import { FollowRateMeter } from "../followers/apply-rates.js";
import type { Work } from "../context/work.js";

/**
 * Records what a database's stream reports, one report after another, in the background. A lost report does not stop the
 * stream.
 *
 * @example
 * const reports = new StreamReports(work, "erp");
 * const follower = new Follower({ ...options, onEvent: reports.onEvent, onProgress: reports.onProgress });
 * await reports.streaming;
 */
export class StreamReports {
  /** Resolves when the source streams for the first time. */
  readonly streaming: Promise<void>;
  readonly #work: Pick<Work, "journal">;
  readonly #database: string;
  readonly #rates = new FollowRateMeter();
  readonly #reportedTables = new Map<string, TableChanges>();
  #streams: () => void = () => undefined;
  #writing = Promise.resolve();
  /** While the target is unreachable, only the latest waits. Otherwise the worker could not end before each was tried. */
  readonly #progress = new LatestValue<FollowStatus>(
    (run) => this.#write(run),
    (status) => this.#reportProgress(status),
  );
  #lagSeconds: number | undefined;

  constructor(work: Pick<Work, "journal">, database: string) {
    this.#work = work;
    this.#database = database;
    this.streaming = new Promise<void>((resolve) => (this.#streams = resolve));
  }

  readonly onEvent = (event: FollowEvent): void => {
    if (event.kind === "streaming") this.#streams();
    if (event.kind === "lockTableFull") this.#write(() => this.#reportLockTable(event));
    this.#write(() => this.#work.journal.event(describe(event), { database: this.#database }));
  };

  /** The last measurement; undefined before the first one of a connection, and without a connection. */
  get lagSeconds(): number | undefined {
    return this.#lagSeconds;
  }

  readonly onProgress = (status: FollowStatus): void => {
    this.#lagSeconds = status.isLagMeasured ? status.latencySeconds : undefined;
    this.#progress.add(status);
  };

  /** Call it before another stream begins: its lag is unknown until it is measured. */
  forgetLag(): void {
    this.#lagSeconds = undefined;
  }

  /** Resolves when the reports so far are recorded or lost. */
  async end(): Promise<void> {
    await this.#writing;
  }

  #reportLockTable({ reason, remedy }: Extract<FollowEvent, { kind: "lockTableFull" }>): Promise<void> {
    const [message] = reason.split("\n");
    const object = "max_locks_per_transaction";
    return this.#work.journal.findings([
      {
        ...{ database: this.#database, type: "ServerParametersValidation", state: "Warning", code: "PGM-307", object },
        ...{ objectType: "Instance", message: message!, remedy },
      },
    ]);
  }

  async #reportProgress(status: FollowStatus): Promise<void> {
    await this.#work.journal.follow(this.#database, this.#reportOf(status));
    await this.#reportTables(status.tables);
  }

  async #reportTables(tables: TableCounts): Promise<void> {
    const changed = [...tables].filter(([key, table]) => this.#reportedTables.get(key) !== table);
    await this.#work.journal.tableChanges(
      this.#database,
      changed.map(([, table]) => table),
    );
    for (const [key, table] of changed) this.#reportedTables.set(key, table);
  }

  #reportOf(status: FollowStatus): FollowReport {
    const { inserts, updates, deletes, appliedChanges, incomingChanges, latencySeconds, pendingTransactions } = status;
    return {
      ...{ inserts, updates, deletes, appliedChanges, latencySeconds, pendingTransactions },
      incomingChanges: Math.max(incomingChanges, appliedChanges),
      lagBytes: status.lagBytes ?? 0,
      ...this.#rates.measure(status, Date.now()),
    };
  }

  #write(write: () => Promise<void>): void {
    this.#writing = this.#writing.then(write).catch((error: unknown) => {
      log.warn(`a report on ${this.#database} was lost: ${String(error)}`);
    });
  }
}

function describe(event: FollowEvent): string {
  switch (event.kind) {
    case "streaming":
      return `following the source from ${event.from}`;
    case "backlog":
      return (
        `${formatBytes(event.bytes)} of the source's WAL have to be read` +
        (event.refused === undefined ? "" : `, by a walsender, which takes longer than SQL (${event.refused})`)
      );
    case "connectionLost":
      return `the connection was lost (${event.reason}); retrying in ${event.retryInMs / 1000} s`;
    case "lockTableFull":
      return event.reason;
    case "orderedBatch":
      return `a batch was applied one change at a time: ${event.reason}`;
    case "parallel":
      return `${event.sessions} sessions apply the backlog`;
    case "parallelRefused":
      return `one session applies the backlog: ${event.reason}`;
    case "blocked":
      return `changes wait for a lock on the target: ${event.by}`;
  }
}
