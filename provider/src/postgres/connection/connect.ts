import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import type pg from "pg";
import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import type { ConnectOptions, Endpoint } from "./endpoint.js";
import { connectionFailure } from "./connection-failure.js";
import { quoteLiteral } from "../identifiers.js";
import { rememberSession } from "./open-sessions.js";
import { passwordOf } from "./password.js";
import { rememberVersion } from "../server-version.js";
import { Session, abandon } from "./session.js";
import { SessionWatch, type WatchOptions, watchOf, watchStatements } from "./session-watch.js";
import { sqlStateOf, sqlStates } from "../sql-state.js";

export const applicationNamePrefix = "pg-migration ";

/** PostgreSQL cuts a longer one. */
const applicationNameBytes = 63;

/** Behind this a session's name says which worker's it is. */
export const ownerSeparator = " #";

let bearer = "";

/**
 * Has the sessions that this process opens from now on say at the end of their names whose they are, or no longer: a
 * successor knows by it what its predecessor has left open.
 */
export function tagSessions(worker: string | undefined): void {
  bearer = worker === undefined ? "" : ownerSeparator + worker;
}

const applicationName = (purpose: string): string =>
  (applicationNamePrefix + purpose).slice(0, applicationNameBytes - bearer.length) + bearer;

/**
 * What a role or a database may have set otherwise and would mangle values, hide rows or end a session that has to wait.
 * A setting that the server does not know yet is left out by `set_config` over pg_settings.
 */
const sessionSettings: Readonly<Record<string, string>> = {
  // Without it NULL in an array's text is the word "NULL".
  array_nulls: "on",
  bytea_output: "hex",
  client_min_messages: "warning",
  // Otherwise the planner evaluates check constraints, which may call functions of other roles.
  constraint_exclusion: "off",
  DateStyle: "ISO, YMD",
  default_transaction_isolation: "read committed",
  default_transaction_read_only: "off",
  extra_float_digits: "3",
  idle_in_transaction_session_timeout: "0",
  idle_session_timeout: "0",
  IntervalStyle: "postgres",
  // Queries of catalogues look dear to the planner; compiling them takes longer than they do.
  jit: "off",
  lc_monetary: "C",
  lock_timeout: "0",
  quote_all_identifiers: "off",
  restrict_nonsystem_relation_kind: "",
  row_security: "off",
  search_path: "",
  standard_conforming_strings: "on",
  statement_timeout: "0",
  // So that the server, too, notices a peer that has gone without a word, in a minute instead of two hours.
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
 * Opens a session in which every value prints the same whatever the role, database or server has configured.
 *
 * @throws RefusedError when the server answers and says no (password, database, TLS, privileges)
 * @throws UnreachableError when nothing answers in time
 */
export async function connect(endpoint: Endpoint, options: ConnectOptions): Promise<pg.Client> {
  const client = await open(endpoint, options);
  const silent = new UnreachableError(
    `${endpoint.host}:${endpoint.port} has accepted a connection and then fallen silent`,
  );
  const late = setTimeout(() => abandon(client, silent), connectTimeoutOf(options));
  try {
    const processId = await fixSettings(client, options.replication ?? false);
    const { database, patienceMs = defaultLockTimeoutMs } = options;
    if (!options.unwatched) watchStatements(watchFor(endpoint, database, client, { processId, patienceMs }), client);
    if (!options.bookkeeping) rememberSession(client);
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw connectionFailure(error, endpoint, options);
  } finally {
    clearTimeout(late);
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

/**
 * A watch beside that of the statements of a session that {@link connect} has opened, for what is sent in it without
 * awaiting each answer.
 */
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

async function open(endpoint: Endpoint, options: ConnectOptions): Promise<pg.Client> {
  const tls = tlsOptions(endpoint);
  if (endpoint.sslMode !== "Prefer") return attempt(endpoint, options, tls);
  try {
    return await attempt(endpoint, options, tls);
  } catch (error) {
    // As libpq does: without TLS where the server has none, or where pg_hba.conf refuses an encrypted session.
    if (!tlsWasRefused(error)) throw error;
    return attempt(endpoint, options, false).catch((second: unknown) => {
      // Refused either way, what was preferred is what has to be let in.
      throw isRefusalOfRole(error) && isRefusalOfRole(second) ? error : second;
    });
  }
}

async function attempt(
  endpoint: Endpoint,
  options: ConnectOptions,
  ssl: false | ConnectionOptions,
): Promise<pg.Client> {
  const client = new Session({
    host: endpoint.host,
    port: endpoint.port,
    user: endpoint.user,
    password: () => passwordOf(endpoint),
    database: options.database,
    application_name: applicationName(options.purpose),
    connectionTimeoutMillis: connectTimeoutOf(options),
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    ssl,
    ...(options.replication ? { replication: "database", options: startUpOptions() } : {}),
  });
  // A session that breaks while nothing runs in it is noticed by its next statement; without a listener Node would end.
  client.on("error", () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw connectionFailure(error, endpoint, options);
  }
}

function tlsOptions({ host, sslMode, sslRootCert }: Endpoint): false | ConnectionOptions {
  if (sslMode === "Disable") return false;
  const trusted = sslRootCert === undefined ? {} : { ca: certificates(sslRootCert) };
  if (sslMode === "VerifyFull") return { ...trusted, rejectUnauthorized: true, host };
  // libpq: where a root certificate is given, `require` checks the chain as `verify-ca` does.
  const checksChain = sslMode === "VerifyCA" || (sslMode === "Require" && sslRootCert !== undefined);
  return { ...trusted, rejectUnauthorized: checksChain, checkServerIdentity: () => undefined };
}

/** The PEM text of certificates that are given as such or as the path of a file. @throws RefusedError */
export function certificates(sslRootCert: string): string {
  const text = sslRootCert.includes("-----BEGIN CERTIFICATE-----") ? sslRootCert : contentOf(sslRootCert);
  try {
    // Node passes over what it cannot read, and then trusts nobody.
    new X509Certificate(text);
    return text;
  } catch (cause) {
    throw new RefusedError(`sslRootCert holds no certificate that can be read: ${messageOf(cause)}`, {
      remedy: "give the whole PEM text, from -----BEGIN CERTIFICATE----- on, or the path of a file with it",
      code: "603001",
      cause,
    });
  }
}

function contentOf(sslRootCert: string): string {
  try {
    return readFileSync(sslRootCert, "utf8");
  } catch (cause) {
    throw new RefusedError(`sslRootCert is neither PEM text nor a readable file: ${messageOf(cause)}`, {
      remedy: "give the certificate's PEM text, or the path of a file that this machine can read",
      code: "603001",
      cause,
    });
  }
}

/** Answers the server's process. */
async function fixSettings(client: pg.Client, replication: boolean): Promise<number> {
  // Every name says where it is: under a database's search_path its own functions and operators may stand before
  // PostgreSQL's.
  const fix = (settings: string): string =>
    `SELECT pg_catalog.set_config(wanted.key, wanted.value, false), pg_catalog.pg_backend_pid() AS pid,
            pg_catalog.current_setting('server_version_num') AS version
       FROM pg_catalog.json_each_text(${settings}) AS wanted
      WHERE pg_catalog.lower(wanted.key) OPERATOR(pg_catalog.=) ANY
            (ARRAY(SELECT pg_catalog.lower(name) FROM pg_catalog.pg_settings))`;
  const wanted = JSON.stringify(sessionSettings);
  if (!replication) {
    // First, and by itself: a role's may be shorter than what follows takes.
    await client.query(`SET statement_timeout = 0; ${withoutDatabasesRole}`);
    const { rows } = await client.query<{ pid: number; version: string }>(fix("$1"), [wanted]);
    rememberVersion(client, Number(rows[0]!.version));
    return rows[0]!.pid;
  }
  try {
    // A walsender knows the simple protocol only, which has no parameters.
    await client.query(fix(quoteLiteral(wanted)));
  } catch (error) {
    // Before 10 it knows no SQL at all; what values print by it was told at its start.
    if (sqlStateOf(error) !== sqlStates.syntaxError) throw error;
  }
  return (client as unknown as { processID: number }).processID;
}

/**
 * A database, or the server, may give every session another role than the one that logs in, which is the one that is
 * granted what a migration takes. What is set for that role itself is meant, and comes before what is set for all.
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

/** What decides how values print, and how long a walsender lives, in every version that has logical decoding. */
const walSenderSettings = [
  ...["bytea_output", "DateStyle", "extra_float_digits", "IntervalStyle", "lc_monetary", "quote_all_identifiers"],
  ...["search_path", "statement_timeout", "TimeZone"],
];

/** For the start-up message, whose settings come before those of role and database. */
const startUpOptions = (): string =>
  ["-c role=none", ...walSenderSettings.map((name) => `-c ${name}=${sessionSettings[name]!.replaceAll(" ", "")}`)].join(
    " ",
  );

/** Of {@link connect}: TLS, pg_hba.conf, the password, the database, CONNECT. Not that the server is full. */
const loginRefusals: ReadonlySet<string | undefined> = new Set(["603001", "603002", "603100", "603102", "603110"]);

/** Whether a server lets nobody of that name in, as one that was given up does. */
export const refusesLogin = (error: unknown): boolean => error instanceof RefusedError && loginRefusals.has(error.code);

export const isMissingDatabase = (error: unknown): boolean => error instanceof RefusedError && error.code === "603102";

/** By the code alone, as libpq: a server says it in its own language. */
const isRefusalOfRole = (error: unknown): boolean =>
  error instanceof RefusedError && sqlStateOf(error.cause) === sqlStates.invalidAuthorizationSpecification;

const tlsWasRefused = (error: unknown): boolean =>
  isRefusalOfRole(error) || (error instanceof RefusedError && error.code === "603001");
