import { TakenOver } from "../../errors.js";
import type { Wish } from "../../inputs/inputs.js";
import type { Endpoint } from "../../postgres/connection/connect.js";
import type { Journal } from "../../store/journal.js";
import { readDatabases, type DatabaseRecord } from "../../store/records.js";
import { Store } from "../../store/store.js";
import type { Bearer } from "../cleanup/earlier-sessions.js";
import type { Job } from "./worker-job.js";
import { rideOut, type Patience } from "../ride-out.js";
import type { RequestWatch } from "./watch-requests.js";

/** What every step of a worker's run has at hand. */
export class RunContext {
  /** Aborts when the worker has to stop, or the migration is canceled. */
  readonly signal: AbortSignal;

  constructor(
    readonly job: Job,
    readonly bearer: Bearer,
    readonly journal: Journal,
    readonly requests: RequestWatch,
    stop: AbortSignal,
  ) {
    this.signal = AbortSignal.any([stop, requests.signal]);
  }

  /** The present one. */
  get wish(): Wish {
    return this.requests.wish;
  }

  get source(): Endpoint {
    return this.job.source;
  }

  get target(): Endpoint {
    return this.job.target;
  }

  async currentDatabases(): Promise<DatabaseRecord[]> {
    return rideOut({ seconds: this.wish.reconnectFor }, () =>
      this.withStore((store) => readDatabases(store, this.job.migrationName)),
    );
  }

  async currentDatabase(name: string): Promise<DatabaseRecord | undefined> {
    return (await this.currentDatabases()).find((one) => one.name === name);
  }

  async withStore<T>(run: (store: Store) => Promise<T>): Promise<T> {
    const store = await Store.find(this.job, `${this.job.migrationName} records`);
    if (!store) throw new TakenOver(`the migration ${this.job.migrationName} is not recorded on the target any more`);
    return run(store).finally(() => store.close().catch(() => undefined));
  }

  /** As the wish has it, with each loss told. */
  patience(mayPass?: (error: unknown) => boolean): Patience {
    return {
      seconds: this.wish.reconnectFor,
      signal: this.signal,
      ...(mayPass ? { mayPass } : {}),
      onLost: (reason, retryInMs) =>
        this.journal.event(`the connection was lost (${reason}); trying again in ${retryInMs / 1000} s`, {
          level: "warning",
        }),
    };
  }
}
