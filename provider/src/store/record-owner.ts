import type { Store } from "./store.js";

/** The resource, or the command, that a migration's record belongs to. */
export interface RecordOwner {
  /** Random. The resource keeps it in its outputs. */
  readonly token: string;
  /** `urn:pulumi:prod::shop::pulumi-nodejs:dynamic/pg-migration:PgMigration::crm`; absent for the command. */
  readonly urn?: string;
  /** Since when it owns the record, as ISO 8601. */
  readonly since: string;
  /** Whether Pulumi's state holds the token. False while `create` runs, and when Pulumi was killed meanwhile. */
  readonly isInState: boolean;
}

/** Records a new owner, whoever owned the record before. */
export async function transferOwnership(store: Store, migration: string, owner: RecordOwner): Promise<void> {
  await store.query("UPDATE pgmigration.migration SET owner = $2 WHERE name = $1", [migration, JSON.stringify(owner)]);
}

/** Notes that Pulumi's state holds the owner's token. Another owner's record is left as it is. */
export async function markOwnerInState(store: Store, migration: string, token: string): Promise<void> {
  await store.query(
    `UPDATE pgmigration.migration SET owner = owner || '{"isInState": true}'
      WHERE name = $1 AND owner ->> 'token' = $2`,
    [migration, token],
  );
}
