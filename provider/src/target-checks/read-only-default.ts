import type { Client } from "pg";
import type { Problem } from "../findings.js";

/**
 * SQL condition: transactions are read-only by default, because of a setting of the server, the database or the role. False
 * on a standby, where no transaction can write.
 */
export const isReadOnlyByDefault = `NOT pg_catalog.pg_is_in_recovery() AND EXISTS (
  SELECT FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only' AND reset_val = 'on')`;

/** The finding's code, by which it is replaced or removed. */
export const readOnlyCode = "PGM-302";

/**
 * A user may have set this to keep applications out until the cutover. Therefore it is reported, and the migration
 * writes nevertheless.
 *
 * @see https://learn.microsoft.com/en-us/azure/postgresql/configure-maintain/concepts-limits#storage
 */
export const readOnlyFinding: Problem & { readonly object: string } = {
  ...{ code: readOnlyCode, type: "ServerParametersValidation", state: "Warning", objectType: "Instance" },
  object: "default_transaction_read_only",
  message:
    "the target's default_transaction_read_only is on, so applications cannot write, but a migration does: Azure sets it if less than 5 % or 5 GiB of the storage is free, and a server stops when its storage is full",
  remedy:
    "increase the target's storage: az postgres flexible-server update --resource-group <group> --name <server> --storage-size <GiB>; if you have set it yourself, and there is enough storage, nothing",
};

/** PGM-302, if the target is read-only by default. */
export async function readOnlyDefault(target: Client): Promise<Problem[]> {
  const { rows } = await target.query<{ isReadOnly: boolean }>(`SELECT ${isReadOnlyByDefault} AS "isReadOnly"`);
  return rows[0]!.isReadOnly ? [readOnlyFinding] : [];
}
