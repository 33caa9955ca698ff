import { defaultJobs, defaultParallelism } from "../context/default-parallelism.js";
import { Semaphore } from "../../async/semaphore.js";
import { CopyRate } from "../../copy/copy-rate.js";
import { retry } from "../context/retry.js";
import type { RunContext } from "../context/run-context.js";

/** Limits of concurrent table copies and index builds, from the spec or from the servers' settings, and of bytes per second. */
export class PlannedParallelism {
  readonly tableSlots: Semaphore;
  readonly indexSlots: Semaphore;
  readonly copyRate: CopyRate;
  readonly #context: RunContext;
  #default = defaultParallelism;

  constructor(context: RunContext) {
    this.#context = context;
    this.tableSlots = new Semaphore(() => context.spec.tableJobs ?? this.#default.tableJobs);
    this.indexSlots = new Semaphore(() => context.spec.indexJobs ?? this.#default.indexJobs);
    this.copyRate = new CopyRate(() => context.spec.maxCopyRate);
  }

  /** Reads the servers' settings, if the spec does not set both limits. */
  async plan(): Promise<void> {
    const { job, journal, spec } = this.#context;
    if (spec.tableJobs !== undefined && spec.indexJobs !== undefined) return;
    this.#default = await retry(this.#context.retryPolicy(), () => defaultJobs(job, spec));
    const [tables, indexes] = [this.tableSlots.limit(), this.indexSlots.limit()];
    await journal.event(`parallelism: up to ${tables} table copies and ${indexes} index builds at the same time`);
  }
}
