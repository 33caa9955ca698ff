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
    const { limits } = context;
    this.tableSlots = new Semaphore(() => Math.min(context.spec.tableJobs ?? this.#default.tableJobs, limits.maxJobs));
    this.indexSlots = new Semaphore(() => Math.min(context.spec.indexJobs ?? this.#default.indexJobs, limits.maxJobs));
    this.copyRate = new CopyRate(() => lower(context.spec.maxCopyRate, limits.bytesPerSecond));
  }

  /** Reads the servers' settings, if the spec does not set both limits, and reserves the connections. */
  async plan(): Promise<void> {
    const { job, journal, spec, limits } = this.#context;
    const isGiven = spec.tableJobs !== undefined && spec.indexJobs !== undefined;
    if (!isGiven) this.#default = await retry(this.#context.retryPolicy(), () => defaultJobs(job, spec));
    const wanted = Math.max(spec.tableJobs ?? this.#default.tableJobs, spec.indexJobs ?? this.#default.indexJobs);
    const reserved = await retry(this.#context.retryPolicy(), () => limits.reserveJobs(wanted));
    if (isGiven && reserved >= wanted) return;
    const [tables, indexes] = [this.tableSlots.limit(), this.indexSlots.limit()];
    await journal.event(`parallelism: up to ${tables} table copies and ${indexes} index builds at the same time`);
  }
}

const lower = (one: number | undefined, other: number | undefined): number | undefined =>
  one === undefined || other === undefined ? (one ?? other) : Math.min(one, other);
