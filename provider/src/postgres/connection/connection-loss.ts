import pg from "pg";
import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import { sqlStateOf, sqlStates } from "../sql-state.js";

/**
 * Whether a statement failed because its connection broke or the server stopped, so that a retry may succeed. These are
 * class 08 and 57P01 to 57P03 (manual, "PostgreSQL Error Codes"), and the errors of the socket and of `pg`. A protocol
 * violation (08P01) is caused by the message and would happen again. The engine's own errors have the server's or the
 * socket's error as their cause.
 */
export function isConnectionLoss(error: unknown): boolean {
  if (error instanceof UnreachableError) return true;
  if (error instanceof RefusedError) return isConnectionLoss(error.cause);
  // postgres_fdw reports the loss of a foreign server's connection this way. This session is still usable.
  if (error instanceof pg.DatabaseError && error.severity === "ERROR" && error.code?.startsWith("08")) return false;
  const broken = /^(08(?!P01)|57P0[123]|ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ERR_STREAM_|ERR_SOCKET_CLOSED)/;
  if (broken.test(sqlStateOf(error))) return true;
  return /Connection terminated|not queryable|Client was closed|connection error/i.test(messageOf(error));
}

/** Whether a server reported that it is starting up or shutting down. */
export const isStarting = (error: unknown): boolean =>
  [error, (error as { cause?: unknown }).cause].some((one) => sqlStateOf(one) === sqlStates.cannotConnectNow);
