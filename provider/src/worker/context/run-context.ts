import type { MigrationSpec } from "../../inputs/inputs.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import type { Journal } from "../../store/journal.js";
import { KeptDumps } from "../../schema/dump/kept-dumps.js";
import { readDatabases, type DatabaseRecord } from "../../store/records.js";
import type { SessionOwner } from "./session-owner.js";
import type { CopyLimits } from "../budgets/migration-budget.js";
import type { WorkerJob } from "./worker-job.js";
import type { RetryPolicy } from "./retry.js";
import { LocalHelpers } from "./local-helpers.js";
import type { RequestWatch } from "./watch-requests.js";

interface RunServices {
  readonly owner: SessionOwner;
  readonly journal: Journal;
  readonly requests: RequestWatch;
  readonly limits: CopyLimits;
}

/** The job, journal, requests and lease holder of one worker's run. */
export class RunContext implements RunServices {
  readonly owner: SessionOwner;
  readonly journal: Journal;
  readonly requests: RequestWatch;
  readonly limits: CopyLimits;
  /** The dumps of the validation. */
  readonly keptDumps = new KeptDumps();
  /** The processes on this machine that share the work. */
  readonly helpers: LocalHelpers;
  /** Aborts when the worker has to stop, or the migration is canceled. */
  readonly signal: AbortSignal;

  /** @param stop aborts when the worker has to stop */
  constructor(
    readonly job: WorkerJob,
    { owner, journal, requests, limits }: RunServices,
    stop: AbortSignal,
  ) {
    this.owner = owner;
    this.journal = journal;
    this.requests = requests;
    this.limits = limits;
    this.signal = AbortSignal.any([stop, requests.signal]);
    this.helpers = new LocalHelpers(job, () => job.workers ?? this.spec.workers, this.signal);
  }

  /** The current spec: an update may change it while the worker runs. */
  get spec(): MigrationSpec {
    return this.requests.spec;
  }

  get source(): Endpoint {
    return this.job.source;
  }

  get target(): Endpoint {
    return this.job.target;
  }

  async currentDatabases(): Promise<DatabaseRecord[]> {
    return readDatabases(this.journal.lease.records, this.job.migrationName);
  }

  async currentDatabase(name: string): Promise<DatabaseRecord | undefined> {
    return (await readDatabases(this.journal.lease.records, this.job.migrationName, name))[0];
  }

  /** Retries for `reconnectFor` seconds. Logs every connection loss. */
  retryPolicy(isRetryable?: (error: unknown) => boolean): RetryPolicy {
    return {
      seconds: this.spec.reconnectFor,
      signal: this.signal,
      ...(isRetryable ? { isRetryable } : {}),
      onLost: (reason, retryInMs) =>
        this.journal.event(`the connection was lost (${reason}); retrying in ${retryInMs / 1000} s`, {
          level: "warning",
        }),
    };
  }
}
