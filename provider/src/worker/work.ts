import type { Wish } from "../inputs/inputs.js";
import type { Endpoint } from "../postgres/connection/connect.js";
import type { Journal } from "../store/journal.js";
import type { Bearer } from "./cleanup/earlier-sessions.js";
import type { JobSlots } from "../async/semaphore.js";

/** What every step of a worker needs. */
export interface Work {
  /** What is wanted now: an update may change it while the worker runs. */
  readonly wish: Wish;
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly journal: Journal;
  readonly generation: number;
  /** Whose this worker's sessions are; not said of one that only helps another one. */
  readonly bearer?: Bearer;
  /** Aborts when the worker has to stop: its reason says why. */
  readonly signal: AbortSignal;
  /** Shared by all databases of the migration. */
  readonly tableSlots: JobSlots;
  readonly indexSlots: JobSlots;
}
