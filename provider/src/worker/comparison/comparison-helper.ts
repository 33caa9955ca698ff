import { engineVersion } from "../../engine-version.js";
import { CanceledError, TakenOverError, UnreachableError, messageOf } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { ComparisonTasks } from "../../store/copy-tasks/comparison-tasks.js";
import type { DatabaseComparison } from "../../store/copy-tasks/shared-comparison.js";
import { Membership } from "../../store/membership.js";
import { retry } from "../context/retry.js";
import type { Work } from "../context/work.js";
import type { WorkerJob } from "../context/worker-job.js";
import { helpComparingDatabase } from "./compare-database.js";

export interface ComparisonHelperOptions {
  readonly job: WorkerJob;
  readonly workOf: (membership: Membership, signal: AbortSignal) => Promise<Work>;
  readonly log: (message: string) => void;
}

interface Share {
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

/** Helps with the comparisons that another worker leads, under its snapshots. */
export class ComparisonHelper {
  readonly #options: ComparisonHelperOptions;
  /** By the ID of the comparison. One that failed here is not tried again. */
  readonly #shares = new Map<string, Share>();

  constructor(options: ComparisonHelperOptions) {
    this.#options = options;
  }

  /** Starts to help with new comparisons, and stops for those that ended. */
  async share(comparisons: readonly DatabaseComparison[]): Promise<void> {
    const own = comparisons.filter((one) => one.engineVersion === engineVersion);
    if (own.length < comparisons.length)
      this.#options.log(`cannot help to compare: this worker has version ${engineVersion}, the leader another one`);
    for (const [id, share] of this.#shares) if (!own.some((one) => one.id === id)) await this.#end(id, share);
    for (const one of own) if (!this.#shares.has(one.id)) this.#begin(one);
  }

  async #end(id: string, { abort, ended }: Share): Promise<void> {
    abort.abort(new CanceledError("the comparison has ended"));
    await ended;
    this.#shares.delete(id);
  }

  #begin(comparison: DatabaseComparison): void {
    const { log } = this.#options;
    const { database } = comparison;
    const abort = new AbortController();
    const isRetryable = (error: unknown): boolean => error instanceof UnreachableError || isConnectionLoss(error);
    const onLost = (reason: string): Promise<void> => {
      log(`helping to compare ${database} again after a connection loss: ${reason}`);
      return Promise.resolve();
    };
    const policy = { seconds: Infinity, signal: abort.signal, isRetryable, onLost };
    const ended = retry(policy, () => this.#help(comparison, abort.signal)).catch((error: unknown) => {
      if (abort.signal.aborted || error instanceof TakenOverError) return;
      log(`stopped helping to compare ${database}: ${messageOf(error)}`);
    });
    this.#shares.set(comparison.id, { abort, ended });
  }

  /** The leader takes back a task that is claimed but not completed when this ends. */
  async #help(comparison: DatabaseComparison, signal: AbortSignal): Promise<void> {
    const { job, log, workOf } = this.#options;
    const { database, generation, id } = comparison;
    const membership = await Membership.join(job, job.migrationName);
    try {
      if (membership.generation !== generation) return;
      log(`helping to compare ${database} as worker ${membership.worker}`);
      await helpComparingDatabase(
        await workOf(membership, signal),
        comparison,
        new ComparisonTasks(membership, database, id),
      );
    } finally {
      await membership.leave();
    }
  }
}
