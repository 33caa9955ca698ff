import type { Authentication } from "../authentication/authentication.js";

/** TLS modes with the meaning of libpq's sslmode (manual, "SSL Support", table "SSL Mode Descriptions"). */
export type SslMode = "Disable" | "Prefer" | "Require" | "VerifyCA" | "VerifyFull";

/** A server and the login on it. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password?: string | undefined;
  /** Obtains a password before each connection, instead of `password`. */
  readonly auth?: Authentication | undefined;
  readonly sslMode: SslMode;
  /** Trusted certificates instead of the system's: PEM text, or the path of a PEM file. */
  readonly sslRootCert?: string | undefined;
}

/**
 * Whether the server's certificate must have its name. Without a root certificate, VerifyCA checks it as well: each
 * certificate of a public authority would pass otherwise. libpq refuses `verify-ca` with the system's authorities.
 */
export const checksServerName = ({ sslMode, sslRootCert }: Pick<Endpoint, "sslMode" | "sslRootCert">): boolean =>
  sslMode === "VerifyFull" || (sslMode === "VerifyCA" && sslRootCert === undefined);

export interface ConnectOptions {
  readonly database: string;
  /** Purpose of the session. pg_stat_activity shows it in application_name after `pg-migration `. */
  readonly purpose: string;
  /** Opens a walsender session (`replication=database`) for replication commands. */
  readonly replication?: boolean;
  /** How long the server may take to accept the connection and to answer the first statements, in milliseconds. */
  readonly connectTimeoutMs?: number;
  /** How long a statement may be silent before {@link SessionWatch} checks the connection, in milliseconds. */
  readonly patienceMs?: number;
  /** Called every `patienceMs` while a statement waits for a lock, with the sessions that hold it. */
  readonly onBlocked?: (by: string) => void;
  /** Disables {@link SessionWatch} for sessions whose opener watches them, such as a stream that is not always read. */
  readonly unwatched?: boolean;
  /** The session writes the records. It is not canceled with the others, because the end has to be recorded. */
  readonly bookkeeping?: boolean;
  /** Sends each statement at once, without awaiting the answers to the statements before it. */
  readonly pipeline?: boolean;
}
