import { EngineError, RefusedError, UnreachableError, messageOf } from "../../errors.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";

/**
 * SQLSTATEs that a later attempt may not meet: connection exceptions, transaction rollbacks (deadlock, serialization),
 * too few resources, a server that shuts down or starts, a statement that was cancelled, an object in use (the slot, by
 * a walsender that has not noticed its end yet).
 */
const passing = /^(08|40|53|57)|^(55P03|55006)$/;

/** A server that is gone is met as the one or the other: by what the network says, or by a stream that is closed. */
const brokenSocket =
  /^(ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EAI_AGAIN|ERR_STREAM_|ERR_SOCKET_CLOSED|ERR_SSL_)/;

/** Whether connecting anew may help. */
export function isRetryable(error: unknown): boolean {
  if (error instanceof UnreachableError) return true;
  // connect() refuses when a server has no WAL publisher left; that ends by itself.
  if (error instanceof RefusedError) return sqlStateOf(error.cause) === sqlStates.tooManyConnections;
  const code = sqlStateOf(error);
  if (code !== "") return passing.test(code) || brokenSocket.test(code);
  return /^Connection terminated|not queryable|^Client was closed/.test(messageOf(error));
}

/** Whether a server did not let us in: for password, role, passwordCommand or pg_hba.conf. */
export const isLogin = (error: unknown): boolean =>
  error instanceof RefusedError && (error.code === "603100" || error.code === "603002");

/** An error of a server or of the socket as one of ours; ours as they are. */
export function asFailure(error: unknown, doing: string): Error {
  const said = `${doing}: ${messageOf(error)}`;
  if (isRetryable(error))
    return error instanceof UnreachableError ? error : new UnreachableError(said, { cause: error });
  const code = sqlStateOf(error);
  if (error instanceof Error && code.length !== 5) return error;
  if (code === sqlStates.characterNotInRepertoire) return untranslatableBytes(said, error as { where?: string });
  if (code.length === 5)
    return new RefusedError(said, {
      remedy: `${remedyOfServer(error as { hint?: string }, code)}, and go on`,
      cause: error,
    });
  return new EngineError(said, { cause: error });
}

/** A hint of the server's is one for whoever wrote the statement, as whoever has to let it pass. */
const remedyOfServer = ({ hint }: { hint?: string }, code: string): string =>
  hint === undefined
    ? `see the server's log for SQLSTATE ${code}, correct it`
    : `do there as its hint for SQLSTATE ${code} says, "${hint}"`;

/** A source in SQL_ASCII takes any bytes, at any time. */
const untranslatableBytes = (said: string, error: { where?: string }): RefusedError =>
  new RefusedError(`${said}${error.where === undefined ? "" : ` (${error.where})`}`, {
    remedy:
      "correct these bytes on the source, then delete this migration and begin anew: this stream has them for ever. Or make the target's database in the source's encoding beforehand",
    cause: error,
  });
