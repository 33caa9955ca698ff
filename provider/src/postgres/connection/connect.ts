import { X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import type pg from "pg";
import type { FindingCode } from "../../finding-codes/finding-code.js";
import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import { checksServerName, type ConnectOptions, type Endpoint } from "./endpoint.js";
import { connectionFailure } from "./connection-failure.js";
import { passwordOf } from "../authentication/password.js";
import { quoteLiteral } from "../identifiers.js";
import { rememberSession } from "./open-sessions.js";
import { rememberVersion } from "../server-version.js";
import { Session, abandon, processIdOf } from "./session.js";
import { SessionWatch, type WatchOptions, watchOf, watchStatements } from "./session-watch.js";
import { sqlStateOf, sqlStates } from "../sql-state.js";

export const applicationNamePrefix = "pg-migration ";

/** PostgreSQL truncates longer names. */
const applicationNameBytes = 63;

/** Separates a session's purpose from the worker that owns it. */
export const ownerSeparator = " #";

let ownWorker: string | undefined;

/**
 * Appends the worker's name to the application_name of all sessions that this process opens from now on. A successor
 * recognises the sessions of its predecessor by it. Undefined stops this.
 */
export function tagSessions(worker: string | undefined): void {
  ownWorker = worker;
}

/** The application_name of the sessions that a process opens for a purpose. @param worker {@link tagSessions} */
export function applicationNameOf(purpose: string, worker: string | undefined): string {
  const suffix = worker === undefined ? "" : ownerSeparator + worker;
  return (applicationNamePrefix + purpose).slice(0, applicationNameBytes - suffix.length) + suffix;
}

/** The application_name of the sessions that this process opens for a purpose. */
export const applicationName = (purpose: string): string => applicationNameOf(purpose, ownWorker);

/**
 * Settings that a role or a database may have changed, and that would alter values, hide rows or end waiting sessions.
 * Settings that the server does not have are skipped.
 */
const sessionSettings: Readonly<Record<string, string>> = {
  // With `off`, NULL in an array's text would be the word "NULL".
  array_nulls: "on",
  bytea_output: "hex",
  client_min_messages: "warning",
  // With other values the planner evaluates check constraints, which may call functions of other roles.
  constraint_exclusion: "off",
  DateStyle: "ISO, YMD",
  default_transaction_isolation: "read committed",
  default_transaction_read_only: "off",
  extra_float_digits: "3",
  idle_in_transaction_session_timeout: "0",
  idle_session_timeout: "0",
  IntervalStyle: "postgres",
  // The planner overestimates catalogue queries, and their compilation would take longer than their execution.
  jit: "off",
  lc_monetary: "C",
  lock_timeout: "0",
  quote_all_identifiers: "off",
  restrict_nonsystem_relation_kind: "",
  row_security: "off",
  search_path: "",
  standard_conforming_strings: "on",
  // Replaces only `off`: a crash of one server must not undo a step on which a step on the other server depends. With `on`, commits
  // could wait without limit for a standby that is down.
  synchronous_commit: "local",
  statement_timeout: "0",
  // The server then detects a dead connection within a minute instead of two hours.
  tcp_keepalives_count: "3",
  tcp_keepalives_idle: "30",
  tcp_keepalives_interval: "10",
  TimeZone: "UTC",
  transaction_timeout: "0",
  transform_null_equals: "off",
  xmlbinary: "base64",
  xmloption: "content",
};

/**
 * Opens a session in which values have the same text, whatever role, database or server are configured for.
 *
 * @throws RefusedError when the server refuses (password, database, TLS, privileges)
 * @throws UnreachableError when nothing answers in time
 */
export async function connect(endpoint: Endpoint, options: ConnectOptions): Promise<pg.Client> {
  const client = await open(endpoint, options);
  const silent = new UnreachableError(
    `${endpoint.host}:${endpoint.port} accepted a connection, but then sent no answer`,
  );
  const timer = setTimeout(() => abandon(client, silent), connectTimeoutOf(options));
  try {
    const processId = await fixSettings(client, options.replication ?? false);
    const { database, patienceMs = defaultLockTimeoutMs } = options;
    const watching = { ...options, processId, patienceMs };
    if (!options.unwatched) watchStatements(watchFor(endpoint, database, client, watching), client);
    if (!options.bookkeeping) rememberSession(client);
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw connectionFailure(error, endpoint, options);
  } finally {
    clearTimeout(timer);
  }
}

const defaultLockTimeoutMs = 30_000;

type Watching = Pick<WatchOptions, "patienceMs" | "onBlocked">;

function watchFor(
  endpoint: Endpoint,
  database: string,
  session: pg.Client,
  options: Watching & Pick<WatchOptions, "processId">,
): SessionWatch {
  return new SessionWatch({
    ...options,
    session,
    where: `${database} on ${endpoint.host}:${endpoint.port}`,
    ask: () => connect(endpoint, { database, purpose: "watch a session", bookkeeping: true }),
  });
}

/** An additional watch on a session of {@link connect}, for data that is sent without awaiting each answer. */
export function watchSession(
  endpoint: Endpoint,
  database: string,
  session: pg.Client,
  options: Watching,
): SessionWatch {
  const { processId } = watchOf(session)!;
  return watchFor(endpoint, database, session, { ...options, processId });
}

const connectTimeoutOf = ({ connectTimeoutMs }: ConnectOptions): number => connectTimeoutMs ?? 15_000;

/** Servers without TLS, and when they last said so. Asking them again would delay each session by a round trip. */
const withoutTls = new Map<string, number>();
const withoutTlsForMs = 60_000;

async function open(endpoint: Endpoint, options: ConnectOptions): Promise<Session> {
  const tls = tlsOptions(endpoint);
  if (endpoint.sslMode !== "Prefer") return attempt(endpoint, options, tls);
  const server = `${endpoint.host}:${endpoint.port}`;
  const hadNone = Date.now() < (withoutTls.get(server) ?? 0) + withoutTlsForMs;
  try {
    return await attempt(endpoint, options, hadNone ? false : tls);
  } catch (error) {
    // Like libpq: without TLS if the server does not support it, or if pg_hba.conf refuses an encrypted session.
    if (!tlsWasRefused(error)) throw error;
    if (hadNone) {
      // The server may have TLS by now.
      withoutTls.delete(server);
      return open(endpoint, options);
    }
    const session = await attempt(endpoint, options, false).catch((second: unknown) => {
      // If both attempts are refused, report the refusal of the preferred one.
      throw isRefusalOfRole(error) && isRefusalOfRole(second) ? error : second;
    });
    if (!isRefusalOfRole(error)) withoutTls.set(server, Date.now());
    return session;
  }
}

async function attempt(
  endpoint: Endpoint,
  options: ConnectOptions,
  ssl: false | ConnectionOptions,
  startUp = options.replication ? walSenderOptions : undefined,
): Promise<Session> {
  const client = new Session({
    host: endpoint.host,
    port: endpoint.port,
    user: endpoint.user,
    // Before the connection, whose time limits do not allow for a slow issuer of tokens.
    password: await passwordOf(endpoint),
    database: options.database,
    application_name: applicationName(options.purpose),
    connectionTimeoutMillis: connectTimeoutOf(options),
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    pipeline: options.pipeline ?? false,
    ssl,
    // As in libpq: without it, a machine in between could use its own certificate and log in with the relayed answers.
    enableChannelBinding: ssl !== false,
    ...(options.replication ? { replication: "database" } : {}),
    ...(startUp === undefined ? {} : { options: startUp }),
  });
  // The next statement reports the broken session. Without a listener Node would terminate the process.
  client.on("error", () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    // Poolers refuse options, so that a session has none unless it needs them.
    const fallback = loginTriggerOptions(options);
    if (startUp !== fallback && isFailedLoginTrigger(error)) return attempt(endpoint, options, ssl, fallback);
    throw connectionFailure(error, endpoint, options);
  }
}

function tlsOptions(endpoint: Endpoint): false | ConnectionOptions {
  const { host, sslMode, sslRootCert } = endpoint;
  if (sslMode === "Disable") return false;
  const trusted = sslRootCert === undefined ? {} : { ca: certificates(sslRootCert) };
  if (checksServerName(endpoint)) return { ...trusted, rejectUnauthorized: true, host };
  // Like libpq: with a root certificate, `require` verifies the chain as `verify-ca` does.
  const checksChain = sslMode === "VerifyCA" || (sslMode === "Require" && sslRootCert !== undefined);
  return { ...trusted, rejectUnauthorized: checksChain, checkServerIdentity: () => undefined };
}

/** The PEM text of certificates given as text or as the path of a file. @throws RefusedError */
export function certificates(sslRootCert: string): string {
  const text = sslRootCert.includes("-----BEGIN CERTIFICATE-----") ? sslRootCert : contentOf(sslRootCert);
  try {
    // Node silently ignores unreadable certificates, and would then trust none.
    new X509Certificate(text);
    return text;
  } catch (cause) {
    throw new RefusedError(`sslRootCert contains no valid certificate: ${messageOf(cause)}`, {
      remedy: "give the whole PEM text, starting with -----BEGIN CERTIFICATE-----, or the path of a PEM file",
      code: "603001",
      cause,
    });
  }
}

/** Bundles of all public authorities have about 250 kB. */
const maxCertificateBytes = 5_000_000;

function contentOf(sslRootCert: string): string {
  try {
    const file = statSync(sslRootCert);
    // A device or a pipe may have no end.
    if (!file.isFile()) throw new Error("it is not a regular file");
    if (file.size > maxCertificateBytes) throw new Error(`it has more than ${maxCertificateBytes} bytes`);
    return readFileSync(sslRootCert, "utf8");
  } catch (cause) {
    throw new RefusedError(`sslRootCert is neither PEM text nor a readable file: ${messageOf(cause)}`, {
      remedy: "give the certificate's PEM text, or the path of a file that is readable on this machine",
      code: "603001",
      cause,
    });
  }
}

/** Returns the process ID of the session's backend. */
async function fixSettings(client: Session, replication: boolean): Promise<number> {
  const { reportedVersion: version } = client;
  // Names are qualified: functions and operators in a database's search_path could replace those of PostgreSQL.
  const exists =
    version >= 9.6
      ? "pg_catalog.current_setting(wanted.key, true) IS NOT NULL"
      : "pg_catalog.lower(wanted.key) OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.lower(name) FROM pg_catalog.pg_settings))";
  const fix = `SELECT pg_catalog.set_config(wanted.key, wanted.value, false), pg_catalog.pg_backend_pid() AS pid,
                      pg_catalog.current_setting('server_version_num') AS version, pg_catalog.current_setting('role') AS role
                 FROM pg_catalog.json_each_text(${quoteLiteral(JSON.stringify(sessionSettings))}) AS wanted
                WHERE ${exists}
                  AND (wanted.key OPERATOR(pg_catalog.<>) 'synchronous_commit'
                       OR pg_catalog.current_setting('synchronous_commit') OPERATOR(pg_catalog.=) 'off')`;
  if (replication) {
    // Before 10 a walsender does not execute SQL. Its start-up options have already set the output formats.
    await client.query(fix).catch((error: unknown) => {
      if (sqlStateOf(error) !== sqlStates.syntaxError) throw error;
    });
    return processIdOf(client);
  }
  // The role's own statement_timeout may be too short. Before 13 it applies to all statements of a message together.
  const withoutTimeout = "SET statement_timeout = 0";
  if (!(version >= 13)) await client.query(withoutTimeout);
  const results = (await client.query(`${withoutTimeout}; ${fix}`)) as unknown as pg.QueryResult<Fixed>[];
  const { pid, version: versionNumber, role } = results[1]!.rows[0]!;
  rememberVersion(client, Number(versionNumber));
  if (role !== "none") await client.query(withoutDatabasesRole);
  return pid;
}

interface Fixed {
  readonly pid: number;
  readonly version: string;
  readonly role: string;
}

/**
 * A database or server setting may change the role of each session. The migration needs the login role, which has the
 * required privileges. A setting for that role itself is intended, and has priority over settings for all roles.
 */
const withoutDatabasesRole = `
  SELECT pg_catalog.set_config('role', 'none', false)
    FROM pg_catalog.pg_db_role_setting AS s
    JOIN pg_catalog.pg_database AS d ON d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
    JOIN pg_catalog.pg_roles AS login ON login.rolname OPERATOR(pg_catalog.=) session_user
   CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS setting
   WHERE setting OPERATOR(pg_catalog.~~) 'role=%'
     AND s.setdatabase OPERATOR(pg_catalog.=) ANY (ARRAY[0, d.oid])
     AND s.setrole OPERATOR(pg_catalog.=) ANY (ARRAY[0, login.oid])
  HAVING pg_catalog.bool_and(s.setrole OPERATOR(pg_catalog.=) 0)`;

/** Settings for output formats and timeouts that exist in every version with logical decoding. */
const walSenderSettings = [
  ...["bytea_output", "DateStyle", "extra_float_digits", "IntervalStyle", "lc_monetary", "quote_all_identifiers"],
  ...["search_path", "statement_timeout", "TimeZone"],
];

/** Sent in the start-up message: these have priority over settings of role and database. */
const walSenderOptions = [
  "-c role=none",
  ...walSenderSettings.map((name) => `-c ${name}=${sessionSettings[name]!.replaceAll(" ", "")}`),
].join(" ");

/** A login event trigger may write while a fence is up, and may need the database's search_path. */
const loginTriggerOptions = ({ replication }: ConnectOptions): string =>
  `${replication ? "-c role=none " : ""}-c default_transaction_read_only=off`;

/** Login event triggers fail in a read-only database, or because a name is not in the search_path. */
function isFailedLoginTrigger(error: unknown): boolean {
  const state = sqlStateOf(error);
  const isMissingName = state.startsWith("42") && state !== sqlStates.insufficientPrivilege;
  return state === sqlStates.readOnlySqlTransaction || isMissingName;
}

/** Codes of {@link connect} for TLS, pg_hba.conf, password, database and CONNECT, but not for a full server. */
const loginRefusals: ReadonlySet<FindingCode | undefined> = new Set([
  ...(["603001", "603100"] as const),
  ...(["PGM-101", "PGM-103", "PGM-104", "PGM-105"] as const),
]);

/** Whether a server refuses this login, as it does for a deleted role. */
export const refusesLogin = (error: unknown): boolean => error instanceof RefusedError && loginRefusals.has(error.code);

export const isMissingDatabase = (error: unknown): boolean => error instanceof RefusedError && error.code === "PGM-103";

/** Only the code is compared, as in libpq: the server's message may be translated. */
const isRefusalOfRole = (error: unknown): boolean =>
  error instanceof RefusedError && sqlStateOf(error.cause) === sqlStates.invalidAuthorizationSpecification;

const tlsWasRefused = (error: unknown): boolean =>
  isRefusalOfRole(error) || (error instanceof RefusedError && error.code === "603001");
