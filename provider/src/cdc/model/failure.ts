import type { FindingCode } from "../../finding-codes/finding-code.js";
import { EngineError, RefusedError, UnreachableError, messageOf } from "../../errors.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";

/**
 * SQLSTATEs of failures that may be temporary:
 *
 * - classes 08, 40, 53: connection exceptions, transaction rollbacks (deadlock, serialization), insufficient resources
 * - class 57: a server that shuts down or starts, or a canceled statement
 * - 55P03: a lock that is not available
 * - 55006: an object in use, such as a slot whose walsender has not noticed yet that its client is gone
 */
const transient = /^(08|40|53|57)|^(55P03|55006)$/;

/** A lost server appears as a network error, or as an error of a closed stream. */
const brokenSocket =
  /^(ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EAI_AGAIN|ERR_STREAM_|ERR_SOCKET_CLOSED|ERR_SSL_)/;

/** Whether a new connection may help. */
export function isRetryable(error: unknown): boolean {
  if (error instanceof UnreachableError) return true;
  // connect() throws RefusedError if all walsenders are in use. That is temporary.
  if (error instanceof RefusedError) return sqlStateOf(error.cause) === sqlStates.tooManyConnections;
  const code = sqlStateOf(error);
  if (code !== "") return transient.test(code) || brokenSocket.test(code);
  return /^Connection terminated|not queryable|^Client was closed/.test(messageOf(error));
}

/** Whether a server refused the login, because of the password, role, token or pg_hba.conf. */
export const isLogin = (error: unknown): boolean =>
  error instanceof RefusedError && error.code !== undefined && loginCodes.has(error.code);

const loginCodes: ReadonlySet<FindingCode> = new Set(["603100", "PGM-101", "PGM-105"]);

/** Converts an error of a server or a socket to a class of `errors.ts`. Errors of these classes are returned unchanged. */
export function asFailure(error: unknown, doing: string): Error {
  const message = `${doing}: ${messageOf(error)}`;
  if (isRetryable(error))
    return error instanceof UnreachableError ? error : new UnreachableError(message, { cause: error });
  const code = sqlStateOf(error);
  if (error instanceof Error && code.length !== 5) return error;
  if (code === sqlStates.characterNotInRepertoire) return untranslatableBytes(message, error as { where?: string });
  if (code.length === 5)
    return new RefusedError(message, { remedy: remedyOfServer(error as { hint?: string }, code), cause: error });
  return new EngineError(message, { cause: error });
}

/** The server's hint, if it has one. */
const remedyOfServer = ({ hint }: { hint?: string }, code: string): string =>
  hint === undefined
    ? `find SQLSTATE ${code} in the server's log, correct the cause, and run pulumi up again`
    : `follow the server's hint for SQLSTATE ${code}, "${hint}", and run pulumi up again`;

/** A source in SQL_ASCII accepts any bytes. */
const untranslatableBytes = (message: string, error: { where?: string }): RefusedError =>
  new RefusedError(`${message}${error.where === undefined ? "" : ` (${error.where})`}`, {
    remedy:
      "correct these bytes on the source, then delete this migration and start again, because the stream keeps them. Or first create the target's database in the source's encoding",
    cause: error,
  });
