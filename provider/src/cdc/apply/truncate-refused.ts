import { messageOf } from "../../errors.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import type { Statement } from "../wire/pipelined-queries.js";

/**
 * The target refuses a TRUNCATE: a table that is not replicated (an unlogged one) refers to the truncated table, or a
 * deferred constraint of it is still pending. DELETE may succeed.
 */
export class TruncateRefused extends Error {
  constructor(message: string, options: ErrorOptions) {
    super(message, options);
    this.name = "TruncateRefused";
  }
}

/** 0A000 has other causes as well, for which neither DELETE nor the source's order helps. */
export function truncateFailure(refused: Statement | undefined, cause: Error): Error {
  const code = sqlStateOf(cause);
  const isOfTable = code === sqlStates.featureNotSupported || code === sqlStates.objectInUse;
  const isTruncate = refused?.text.startsWith("TRUNCATE") === true;
  return isTruncate && isOfTable ? new TruncateRefused(messageOf(cause), { cause }) : cause;
}
