import { Unreachable, messageOf } from "../errors.js";

/**
 * Whether a statement failed because its connection broke or the server went away, so that it may be tried again: class 08
 * and 57P01 to 57P03 (manual, "PostgreSQL Error Codes"), and what the socket and `pg` say.
 */
export function isConnectionLoss(error: unknown): boolean {
  if (error instanceof Unreachable) return true;
  const { code } = error as { code?: string };
  if (
    code !== undefined &&
    /^(08|57P0[123]|ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ERR_STREAM_|ERR_SOCKET_CLOSED)/.test(code)
  )
    return true;
  return /Connection terminated|not queryable|Client was closed|connection error/i.test(messageOf(error));
}
