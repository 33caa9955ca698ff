/** What the server sends to its pages. Types only, because pages are compiled separately. */
import type { MigrationResource } from "../display/migration-resource.js";
import type { FleetRow } from "../fleet/fleet-rows.js";
import type { MigrationListItem } from "../fleet/list-overviews.js";
import type { ListProblem } from "../fleet/target.js";
import type { EventRecord } from "../store/read-events.js";
import type { TableRecord } from "../store/read-tables.js";

export interface HistorySample {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly bytesPerSecond: number;
  readonly lagBytes: number;
  readonly latencySeconds: number;
}

/** The data of each event, by its name. With `all`, the data replaces what was sent before; otherwise it adds to it. */
export interface Messages {
  readonly migrations: readonly MigrationListItem[];
  /** Null when no migration of this name is recorded. */
  readonly migration: MigrationResource | null;
  readonly tables: { readonly all: boolean; readonly tables: readonly TableRecord[] };
  readonly events: { readonly all: boolean; readonly events: readonly EventRecord[] };
  readonly history: { readonly all: boolean; readonly samples: readonly HistorySample[] };
  /** The rows of each target replace those that were sent before. */
  readonly fleet: {
    readonly all: boolean;
    readonly targets: readonly { readonly target: string; readonly rows: readonly FleetRow[] }[];
  };
  /** The wrong entries of the list of targets, and why it cannot be read again. */
  readonly list: { readonly problems: readonly ListProblem[]; readonly failure: string };
  /** Why the target cannot be read; empty while it can be. */
  readonly trouble: string;
}

/** A database of a source that a migration can copy. */
export interface ListedDatabase {
  readonly name: string;
  /** Null if the role may not know it. */
  readonly bytes: number | null;
  /** Null if the database cannot be read. */
  readonly tables: number | null;
  /** Why the database cannot be read. */
  readonly unreadable: string | null;
  /** What would block its migration, as far as a few queries show it. */
  readonly blockers: readonly string[];
}

/** A migration that is recorded. */
export interface StartedMigration {
  readonly name: string;
  /** Why no worker started. */
  readonly workerFailure: string | null;
}

export type MessageName = keyof Messages;

export interface PageSettings {
  readonly readOnly: boolean;
  /** `host:port`, or the name of a list of targets. */
  readonly target: string;
  readonly isFleet: boolean;
}
