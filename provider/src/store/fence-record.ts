/**
 * The settings of `default_transaction_read_only` that a read-only fence replaced; null if it was not set. The store
 * keeps this record as JSON, so that any later worker can restore exactly these settings.
 */
export interface FenceRecord {
  readonly database: string | null;
  /** Roles with their own setting in this database, which has priority over the database's setting. */
  readonly roles: readonly { readonly role: string; readonly setting: string | null }[];
}

export type FenceSide = "source" | "target";
