import type { CopyRate } from "../../copy/copy-rate.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import type { KeptDumps } from "../../schema/dump/kept-dumps.js";
import type { Journal } from "../../store/journal.js";
import type { SessionOwner } from "./session-owner.js";
import type { Semaphore } from "../../async/semaphore.js";

/** Spec, servers, journal and limits that every step of a worker needs. */
export interface Work {
  /** The current spec: an update may change it while the worker runs. */
  readonly spec: MigrationSpec;
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly journal: Journal;
  readonly generation: number;
  /** Owner of this worker's sessions; undefined in a copy helper. */
  readonly owner?: SessionOwner;
  /** Aborts, with the reason, when the worker has to stop. */
  readonly signal: AbortSignal;
  /** Shared by all databases of the migration. */
  readonly tableSlots: Semaphore;
  readonly indexSlots: Semaphore;
  readonly copyRate: CopyRate;
  readonly replicaLag: ReplicaWatch;
  /** The dumps of the validation, if this worker validated. */
  readonly keptDumps?: KeptDumps;
  /** Starts processes on this machine; undefined in a helper. */
  readonly helpers?: ProcessHelpers;
  /** Counts how often the copy of the database released its locks for applications. */
  readonly releases?: { count: number };
}

/** Processes on this machine that share a copy or a comparison. */
export interface ProcessHelpers {
  readonly count: number;
  /** Runs them beside `run`. @param startsAtOnce false if they start only when `run` has lasted for 5 s */
  during<Result>(run: () => Promise<Result>, startsAtOnce?: boolean): Promise<Result>;
}

/** Receives what slows the copy down, such as "replica standby1 is 40 s behind". Undefined if nothing does. */
export type OnSlowedDown = (by: string | undefined) => void;

/** Watches the replicas of the source while it runs the copy of a database. */
export interface ReplicaWatch {
  during<Result>(database: string, copy: () => Promise<Result>, onSlowedDown?: OnSlowedDown): Promise<Result>;
}
