import { deleteHelper, recordHelper } from "../../store/copy-tasks/shared-comparison.js";
import { newWorkerName } from "../../store/lease.js";
import { type Store, withExistingStore } from "../../store/store.js";
import type { WorkerJob } from "../context/worker-job.js";

const everyMs = 30_000;

/** Records that this process stands by, so that the leader divides its comparisons. */
export class HelperPresence {
  readonly #job: WorkerJob;
  readonly #worker = newWorkerName();
  #recordedAt = -Infinity;

  constructor(job: WorkerJob) {
    this.#job = job;
  }

  async announce(): Promise<void> {
    if (performance.now() - this.#recordedAt < everyMs) return;
    await this.#inStore((store) => recordHelper(store, this.#job.migrationName, this.#worker));
    this.#recordedAt = performance.now();
  }

  /** If this fails, the record expires. */
  async leave(): Promise<void> {
    if (this.#recordedAt === -Infinity) return;
    this.#recordedAt = -Infinity;
    await this.#inStore((store) => deleteHelper(store, this.#job.migrationName, this.#worker)).catch(() => undefined);
  }

  #inStore(run: (store: Store) => Promise<void>): Promise<unknown> {
    return withExistingStore(this.#job, `${this.#job.migrationName} stand-by`, async (store) => store && run(store));
  }
}
