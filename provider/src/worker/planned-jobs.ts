import { defaultJobs, usualJobs } from "./context/default-parallelism.js";
import { JobSlots } from "../async/semaphore.js";
import { rideOut } from "./ride-out.js";
import type { RunContext } from "./context/run-context.js";

/** How many tables are copied, and indexes built, at the same time: as the wish says, or as the servers can bear. */
export class PlannedJobs {
  readonly tableSlots: JobSlots;
  readonly indexSlots: JobSlots;
  readonly #context: RunContext;
  #default = usualJobs;

  constructor(context: RunContext) {
    this.#context = context;
    this.tableSlots = new JobSlots(() => context.wish.tableJobs ?? this.#default.tableJobs);
    this.indexSlots = new JobSlots(() => context.wish.indexJobs ?? this.#default.indexJobs);
  }

  /** Asks the servers, where the wish leaves it to them. */
  async plan(): Promise<void> {
    const { job, journal, wish } = this.#context;
    if (wish.tableJobs !== undefined && wish.indexJobs !== undefined) return;
    this.#default = await rideOut(this.#context.patience(), () => defaultJobs(job, wish));
    const [tables, indexes] = [this.tableSlots.limit(), this.indexSlots.limit()];
    await journal.event(`up to ${tables} tables are copied, and ${indexes} indexes built, at the same time`);
  }
}
