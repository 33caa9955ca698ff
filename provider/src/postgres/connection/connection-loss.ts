import pg from "pg";
import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import { sqlStateOf, sqlStates } from "../sql-state.js";

/**
 * Whether a statement failed because its connection broke or the server went away, so that it may be tried again: class 08
 * and 57P01 to 57P03 (manual, "PostgreSQL Error Codes"), and what the socket and `pg` say. A protocol violation (08P01) is
 * the message's fault, and would be met again. Ours that say what could not be done have the server's, or the socket's, as
 * their cause.
 */
export function isConnectionLoss(error: unknown): boolean {
  if (error instanceof UnreachableError) return true;
  if (error instanceof RefusedError) return isConnectionLoss(error.cause);
  // A foreign server's connection, as postgres_fdw reports its loss: this session is still usable.
  if (error instanceof pg.DatabaseError && error.severity === "ERROR" && error.code?.startsWith("08")) return false;
  const broken = /^(08(?!P01)|57P0[123]|ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ERR_STREAM_|ERR_SOCKET_CLOSED)/;
  if (broken.test(sqlStateOf(error))) return true;
  return /Connection terminated|not queryable|Client was closed|connection error/i.test(messageOf(error));
}

/** Whether a server has said that it is starting up or shutting down: it is the right one, and will be there. */
export const isStarting = (error: unknown): boolean =>
  [error, (error as { cause?: unknown }).cause].some((one) => sqlStateOf(one) === sqlStates.cannotConnectNow);
