import type { MigrationState, MigrationSubState, WorkerState } from "../status.js";

/** What a delivery reports, documented in docs/webhook.md. */
export type WebhookEvent =
  | { readonly type: "migration.state"; readonly data: MigrationStateData }
  | { readonly type: "migration.worker"; readonly data: ListedMigration & { readonly worker: WorkerState } }
  | { readonly type: "target.unreachable" | "target.reachable"; readonly data: TargetData };

/** The migration that a delivery is about. */
export interface WebhookSubject {
  readonly migration: string;
  /** `host:port` */
  readonly source: string;
  readonly target: string;
  readonly databases: readonly string[];
}

/** A migration on one of many targets. */
export interface ListedMigration extends WebhookSubject {
  /** The name of the target in its list. */
  readonly targetName: string;
}

interface MigrationStateData extends WebhookSubject {
  readonly targetName?: string;
  readonly state: MigrationState;
  readonly subState: MigrationSubState;
  readonly error?: string;
}

interface TargetData {
  /** `host:port` */
  readonly target: string;
  readonly targetName: string;
  /** The first failed attempt to read it, ISO 8601. */
  readonly unreachableSince: string;
  readonly error?: string;
}
