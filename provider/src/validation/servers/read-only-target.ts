import { isReadOnlyByDefault } from "../../postgres/read-only-default.js";
import type { Finding } from "../../findings.js";
import type { Rule } from "../context.js";

/** Of the finding, which comes and goes. */
export const readOnlyCode = "603122";

/**
 * Somebody may have set it who keeps applications out until the cutover: so it is told, and the target written all the
 * same.
 */
export const readOnlyFinding: Finding & { readonly object: string } = {
  ...{ code: readOnlyCode, type: "ServerParametersValidation", state: "Warning", objectType: "Instance" },
  object: "default_transaction_read_only",
  message:
    "the target's default_transaction_read_only is on, and this migration writes there all the same: Azure sets it where less than 5 % or 5 GiB of the storage is free, and a server whose storage is full stops",
  remedy:
    "give the target more storage: az postgres flexible-server update --storage-size <GiB>; where you have set it yourself, and there is room, nothing",
};

export const readOnlyTarget: Rule = async ({ target }) => {
  const { rows } = await target.query<{ isReadOnly: boolean }>(`SELECT ${isReadOnlyByDefault} AS "isReadOnly"`);
  return rows[0]!.isReadOnly ? [readOnlyFinding] : [];
};
