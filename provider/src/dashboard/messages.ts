/** What the server sends to its pages. Types only: pages are compiled apart from the server. */
import type { MigrationResource } from "../display/migration-resource.js";
import type { EventRecord } from "../store/read-events.js";
import type { TableRecord } from "../store/read-tables.js";

/** What was measured at one moment. */
export interface HistorySample {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly bytesPerSecond: number;
  readonly lagBytes: number;
  readonly latencySeconds: number;
}

/** What a page gets, by the name of the event. Parts with `all` take the place of what came before, others add to it. */
export interface Messages {
  readonly migrations: readonly MigrationResource[];
  /** Null when the migration is recorded no longer. */
  readonly migration: MigrationResource | null;
  readonly tables: { readonly all: boolean; readonly tables: readonly TableRecord[] };
  readonly events: { readonly all: boolean; readonly events: readonly EventRecord[] };
  readonly history: { readonly all: boolean; readonly samples: readonly HistorySample[] };
  /** Why nothing newer can be shown; empty when all is well again. */
  readonly trouble: string;
}

export type MessageName = keyof Messages;

export interface PageSettings {
  readonly readOnly: boolean;
  readonly target: string;
}
