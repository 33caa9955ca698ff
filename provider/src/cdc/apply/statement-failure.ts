import { messageOf } from "../../errors.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import type { BatchSegment } from "../batch/transaction-buffer.js";
import { CoalesceFailed, requiresSourceOrder, TruncateRefused } from "../model/signals.js";
import type { StreamRoles } from "../model/stream-roles.js";
import type { Statement } from "../wire/pipelined-queries.js";
import { changeFailure } from "./change-refused.js";
import type { TableStatement } from "./table-statements.js";
import { valueFailure } from "./value-failure.js";

/**
 * Converts the failure of a statement of a batch. If changes were applied in the source's order, the result describes the
 * refused change. If that order may help, the result is {@link CoalesceFailed}. Other errors are returned unchanged.
 *
 * @param sequential the batch, if changes of it were applied in the source's order
 */
export function statementFailure(
  failed: TableStatement | undefined,
  error: Error,
  roles: StreamRoles,
  sequential: readonly BatchSegment[] | undefined,
): Error {
  const refused = truncateFailure(failed?.statement, error);
  const cause = failed?.binding ? valueFailure(failed.binding, roles, refused) : refused;
  if (sequential && failed?.change) return changeFailure(failed.change, sequential, roles, cause);
  return requiresSourceOrder(cause) ? new CoalesceFailed(failed?.binding?.name, cause) : cause;
}

/** SQLSTATE 0A000 (feature not supported) also has causes for which neither DELETE nor the source's order helps. */
function truncateFailure(failed: Statement | undefined, cause: Error): Error {
  const code = sqlStateOf(cause);
  const isOfTable = code === sqlStates.featureNotSupported || code === sqlStates.objectInUse;
  const isTruncate = failed?.text.startsWith("TRUNCATE") === true;
  return isTruncate && isOfTable ? new TruncateRefused(messageOf(cause), { cause }) : cause;
}
