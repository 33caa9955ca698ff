import { z } from "zod";
import type { Store } from "./store.js";

/** The resource or the command that owns a migration's record. */
export interface RecordOwner {
  /** Random. The resource keeps it in its outputs. */
  readonly token: string;
  /** `urn:pulumi:prod::shop::pulumi-nodejs:dynamic/pg-migration:PgMigration::crm`; absent for the command. */
  readonly urn?: string;
  /** Start of the ownership, as ISO 8601. */
  readonly since: string;
  /** Whether Pulumi's state contains the token. False while `create` runs, and if Pulumi was killed during it. */
  readonly isInState: boolean;
}

const damagedText = z.string().catch("");
const schema = z
  .object({
    token: damagedText,
    urn: z.string().optional().catch(undefined),
    since: damagedText,
    isInState: z.boolean().catch(true),
  })
  .catch({ token: "", urn: undefined, since: "", isInState: true });

/** The owner as the records have it. A damaged one is no resource's: its empty token belongs to none. */
export function recordedOwner(recorded: unknown): RecordOwner | undefined {
  if (recorded === null) return undefined;
  const { urn, ...owner } = schema.parse(recorded);
  return urn === undefined ? owner : { ...owner, urn };
}

/** Records a new owner and replaces any earlier one. */
export async function transferOwnership(store: Store, migration: string, owner: RecordOwner): Promise<void> {
  await store.query("UPDATE pgmigration.migration SET owner = $2 WHERE name = $1", [migration, JSON.stringify(owner)]);
}

/** Records that Pulumi's state contains the owner's token. A record of another owner is not changed. */
export async function markOwnerInState(store: Store, migration: string, token: string): Promise<void> {
  await store.query(
    `UPDATE pgmigration.migration SET owner = owner || '{"isInState": true}'
      WHERE name = $1 AND owner ->> 'token' = $2`,
    [migration, token],
  );
}
