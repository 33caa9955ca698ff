/**
 * The settings of `default_transaction_read_only` that a read-only fence replaced: null where it was not set. The store
 * keeps this record as JSON, so that any later worker can restore exactly these settings.
 */
export interface FenceRecord {
  readonly database: string | null;
  /** Roles with a setting of their own, which would win over the database's: as it was for them in this database. */
  readonly roles: readonly { readonly role: string; readonly setting: string | null }[];
}

export type FenceSide = "source" | "target";
