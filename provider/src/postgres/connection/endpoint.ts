/** TLS as libpq's sslmode means it (manual, "SSL Support", table "SSL Mode Descriptions"). */
export type SslMode = "Disable" | "Prefer" | "Require" | "VerifyCA" | "VerifyFull";

/** A server and who we are there. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password?: string | undefined;
  /** Run at every connection instead; its standard output is the password: a token that is short-lived, for instance. */
  readonly passwordCommand?: string | undefined;
  readonly sslMode: SslMode;
  /** Certificates to trust instead of the system's: PEM text, or the path of a PEM file. */
  readonly sslRootCert?: string | undefined;
}

export interface ConnectOptions {
  readonly database: string;
  /** What the session is for; shown in pg_stat_activity.application_name behind `pg-migration `. */
  readonly purpose: string;
  /** Open a walsender session (`replication=database`) for replication commands. */
  readonly replication?: boolean;
  /** How long the server may take to accept, and then to answer the first statements, in milliseconds. */
  readonly connectTimeoutMs?: number;
  /**
   * How long a statement may be silent before it is looked whether the line is dead, and then once more: SessionWatch.
   */
  readonly patienceMs?: number;
  /** Whoever opens it looks after it himself: one that streams, and is not always read. */
  readonly unwatched?: boolean;
  /** Keeps the records: goes on when everything else is canceled, since the end has to be written down. */
  readonly bookkeeping?: boolean;
}
