import type { Client } from "pg";
import type { Problem } from "../findings.js";
import { azureFlexibleServer } from "../platforms/azure.js";
import { detectPlatform } from "../platforms/detect-platform.js";
import { parameterCommands, type Platform } from "../platforms/platform.js";

/**
 * SQL condition: transactions are read-only by default, because of a setting of the server, the database or the role. False
 * on a standby, where no transaction can write.
 */
export const isReadOnlyByDefault = `NOT pg_catalog.pg_is_in_recovery() AND EXISTS (
  SELECT FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only' AND reset_val = 'on')`;

/** The finding's code, by which it is replaced or removed. */
export const readOnlyCode = "PGM-302";

/** PGM-302, if the target is read-only by default. Only Azure sets this by itself, when its storage is nearly full. */
export async function readOnlyDefault(target: Client): Promise<Problem[]> {
  const { rows } = await target.query<{ isReadOnly: boolean }>(`SELECT ${isReadOnlyByDefault} AS "isReadOnly"`);
  if (!rows[0]!.isReadOnly) return [];
  const platform = await detectPlatform(target);
  return [platform === azureFlexibleServer ? ofAzure : ofUser(platform)];
}

/**
 * A user may have set this to keep applications out until the cutover. Therefore it is a warning, and the migration
 * writes nevertheless.
 */
const problem = {
  code: readOnlyCode,
  type: "ServerParametersValidation",
  state: "Warning",
  objectType: "Instance",
  object: "default_transaction_read_only",
  message: "the target's default_transaction_read_only is on, so applications cannot write, but a migration does",
} as const;

/** @see https://learn.microsoft.com/en-us/azure/postgresql/configure-maintain/concepts-limits#storage */
const ofAzure: Problem = {
  ...problem,
  message: `${problem.message}: Azure sets it if less than 5 % or 5 GiB of the storage is free, and a server stops when its storage is full`,
  remedy:
    "increase the target's storage: az postgres flexible-server update --resource-group <group> --name <server> --storage-size <GiB>; if you have set it yourself, and there is enough storage, nothing",
};

const ofUser = (platform: Platform): Problem => ({
  ...problem,
  remedy: `if applications must write: ${parameterCommands(platform, [{ name: problem.object, value: "off" }])}; if pg_db_role_setting has it for a database or role: ALTER DATABASE or ALTER ROLE with RESET default_transaction_read_only`,
});
