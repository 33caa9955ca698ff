import type { StoreAddress } from "../store/installation/records-database.js";

/** A target server of a fleet. */
export interface Target {
  /** Unique in its fleet. `host:port` if the list gives no name. */
  readonly name: string;
  readonly address: StoreAddress;
}

/** What is wrong with an entry of a list. The other entries are not affected. */
export interface ListProblem {
  /** File and line, such as `targets.csv:3`. */
  readonly place: string;
  readonly reason: string;
}

/** A list of targets, as far as it is valid. */
export interface TargetList {
  readonly targets: readonly Target[];
  readonly problems: readonly ListProblem[];
}
