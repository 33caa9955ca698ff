import { messageOf } from "../../errors.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import type { Statement } from "../wire/pipelined-queries.js";

/**
 * The target does not empty a table to which another one refers that the stream does not tell of, as an unlogged one,
 * nor one of which a deferred constraint has still to be looked at for changes before. Its rows may be deleted all the
 * same.
 */
export class TruncateRefused extends Error {
  constructor(message: string, options: ErrorOptions) {
    super(message, options);
    this.name = "TruncateRefused";
  }
}

/** What a statement was refused for; 0A000 says the same of much else, which no order of the changes could help. */
export function truncateFailure(refused: Statement | undefined, cause: Error): Error {
  const code = sqlStateOf(cause);
  const isOfTable = code === sqlStates.featureNotSupported || code === sqlStates.objectInUse;
  const isTruncate = refused?.text.startsWith("TRUNCATE") === true;
  return isTruncate && isOfTable ? new TruncateRefused(messageOf(cause), { cause }) : cause;
}
