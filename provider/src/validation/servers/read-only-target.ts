import { isReadOnlyByDefault } from "../../postgres/read-only-default.js";
import type { Finding } from "../../findings.js";
import type { Rule } from "../context.js";

/** The finding's code, by which it is replaced or removed. */
export const readOnlyCode = "PGM-302";

/**
 * A user may have set this to keep applications out until the cutover. Therefore it is reported, and the migration
 * writes nevertheless.
 */
export const readOnlyFinding: Finding & { readonly object: string } = {
  ...{ code: readOnlyCode, type: "ServerParametersValidation", state: "Warning", objectType: "Instance" },
  object: "default_transaction_read_only",
  message:
    "the target's default_transaction_read_only is on, and this migration writes there all the same: Azure sets it if less than 5 % or 5 GiB of the storage is free, and a server stops when its storage is full",
  remedy:
    "increase the target's storage: az postgres flexible-server update --storage-size <GiB>; if you have set it yourself, and there is enough storage, nothing",
};

export const readOnlyTarget: Rule = async ({ target }) => {
  const { rows } = await target.query<{ isReadOnly: boolean }>(`SELECT ${isReadOnlyByDefault} AS "isReadOnly"`);
  return rows[0]!.isReadOnly ? [readOnlyFinding] : [];
};
