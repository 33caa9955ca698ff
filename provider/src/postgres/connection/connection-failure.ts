import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import type { FindingCode } from "../../finding-codes/finding-code.js";
import { clientAddress } from "./client-address.js";
import { type TokenAuthentication, usesToken } from "../authentication/authentication.js";
import type { ConnectOptions, Endpoint } from "./endpoint.js";
import { quoteIdentifier, quoteLiteral } from "../identifiers.js";
import { sqlStateOf, sqlStates } from "../sql-state.js";
import { truncate } from "../../units/terminal-text.js";

/** A server's message may have a megabyte. PostgreSQL's own have a line. */
const maxMessageLength = 1000;

/** The meaning of a failed connection, and a remedy. */
interface Meaning {
  readonly what: string;
  readonly remedy: string;
  readonly code: FindingCode;
  /** The failure can pass without a change by the user, so that a retry may succeed. */
  readonly passes?: true;
}

/** Explains why a connection failed: password, pg_hba.conf, database, TLS, too many connections, or no answer. */
export function connectionFailure(
  error: unknown,
  endpoint: Endpoint,
  options: ConnectOptions,
): RefusedError | UnreachableError {
  if (error instanceof RefusedError || error instanceof UnreachableError) return error;
  const { what, remedy, code, passes } =
    meaningOfState(error, endpoint, options) ?? meaningOfWords(error, endpoint) ?? noAnswer(endpoint);
  const where = `${endpoint.user}@${endpoint.host}:${endpoint.port}/${options.database}`;
  const message = `${where}: ${what} (${truncate(messageOf(error) || sqlStateOf(error), maxMessageLength)})`;
  const details = { remedy, code, cause: error };
  return passes ? new UnreachableError(message, details) : new RefusedError(message, details);
}

function meaningOfState(error: unknown, endpoint: Endpoint, options: ConnectOptions): Meaning | undefined {
  const { user, auth } = endpoint;
  const { database } = options;
  switch (sqlStateOf(error)) {
    case sqlStates.invalidPassword:
      if (usesToken(auth)) return refusalOfToken(user, auth);
      // PostgreSQL does not reveal which of the two is wrong.
      return {
        what: "the role or the password is wrong",
        remedy: `check that the role ${user} exists, and its password`,
        code: "603100",
      };
    case sqlStates.invalidAuthorizationSpecification:
      return refusalOfRole(error, endpoint, options);
    case sqlStates.invalidCatalogName:
      return {
        what: "the database does not exist",
        remedy: `create ${database}, or correct its name`,
        code: "PGM-103",
      };
    case sqlStates.insufficientPrivilege:
      return {
        what: "the role may not connect",
        remedy: `GRANT CONNECT ON DATABASE ${quoteIdentifier(database)} TO ${quoteIdentifier(user)}`,
        code: "PGM-104",
      };
    case sqlStates.objectNotInPrerequisiteState:
      return {
        what: "the database accepts no connections",
        remedy: `ALTER DATABASE ${quoteIdentifier(database)} ALLOW_CONNECTIONS true, or leave the database out; one that an interrupted DROP DATABASE left can only be dropped`,
        code: "PGM-104",
      };
    case sqlStates.tooManyConnections:
      return fullServer(error);
    case sqlStates.protocolViolation:
      return {
        what: "the server does not accept this kind of connection; a pooler, for example, refuses replication",
        remedy: "give host and port of the server itself (on Azure 5432, not PgBouncer's 6432)",
        code: "PGM-102",
      };
    case sqlStates.cannotConnectNow:
      return {
        what: "the server is starting up or shutting down",
        remedy: "wait until the server accepts connections",
        code: "603000",
        passes: true,
      };
    default:
      return undefined;
  }
}

function refusalOfRole(
  error: unknown,
  { user, sslMode, auth }: Endpoint,
  { database, replication }: ConnectOptions,
): Meaning {
  if (/valid client certificate/.test(messageOf(error)))
    return {
      what: "the server requires a client certificate, which migrations do not support",
      remedy: `add a line to pg_hba.conf (SHOW hba_file names its path), before the one with cert or clientcert, that accepts ${user} from this machine by password: hostssl all ${user} ${clientAddress(messageOf(error))} scram-sha-256 (md5 before 10), then SELECT pg_reload_conf()`,
      code: "PGM-101",
    };
  if (/channel binding/.test(messageOf(error)))
    return {
      what: "the server has another certificate than this machine saw: something in between decrypts the connection",
      remedy: "set host and port to those of the server itself, not of a proxy that encrypts again",
      code: "603001",
    };
  // The server's messages may be translated. Only the file name stays the same.
  if (!messageOf(error).includes("pg_hba.conf"))
    return usesToken(auth)
      ? refusalOfToken(user, auth)
      : {
          what: "the server refuses the role",
          remedy: `check that the role ${user} exists and may log in`,
          code: "603100",
        };
  const byTls = sslMode === "Disable" ? "set sslMode to Require in case the server only accepts TLS, or " : "";
  const line = replication
    ? `add to pg_hba.conf (SHOW hba_file names its path): host ${database},replication ${user} ${clientAddress(messageOf(error))} scram-sha-256 (md5 before 10), then SELECT pg_reload_conf()`
    : `add to pg_hba.conf (SHOW hba_file names its path): host ${database} ${user} ${clientAddress(messageOf(error))} scram-sha-256 (md5 before 10), then SELECT pg_reload_conf()`;
  return { what: "the server's pg_hba.conf refuses this connection", remedy: byTls + line, code: "PGM-101" };
}

/** What each platform requires for the login of a role with a token. */
const remediesOfTokens: Readonly<Record<TokenAuthentication["kind"], (user: string) => string>> = {
  entra: (user) =>
    `set user to the exact name of the Entra role (case matters); if ${user} is not in SELECT * FROM pgaadauth_list_principals(false), create it as an Entra administrator, in the database postgres: SELECT * FROM pgaadauth_create_principal(${quoteLiteral(user)}, false, false)`,
  rdsIam: (user) =>
    `GRANT rds_iam TO ${quoteIdentifier(user)}, enable IAM authentication on the instance, allow rds-db:connect for this role in the IAM policy, and for an online migration set rds.iam_auth_for_replication = 1 in the parameter group; host must be the endpoint of the instance itself`,
  cloudSqlIam: (user) =>
    `add ${user} as an IAM user of the instance (a service account without .gserviceaccount.com), set the flag cloudsql.iam_authentication, and grant the role Cloud SQL Instance User`,
};

const refusalOfToken = (user: string, { kind }: TokenAuthentication): Meaning => ({
  what: `the server refuses the token for the role ${user}`,
  remedy: remediesOfTokens[kind](user),
  code: "603100",
});

function fullServer(error: unknown): Meaning {
  if (messageOf(error).includes("max_wal_senders"))
    return {
      what: "the server has no WAL sender left",
      remedy:
        "end unused replication connections (see pg_stat_replication), or raise max_wal_senders and restart the server: a migration needs one for each database, and one more for comparisons",
      code: "603106",
    };
  // This can pass, for example after a restart, when all applications reconnect at the same time.
  return {
    what: "the server has no connection left",
    remedy:
      "end idle sessions, or raise max_connections and restart the server: by default the copy of a database uses 12 connections, and four databases are copied at a time",
    code: "603000",
    passes: true,
  };
}

/** Remedies for errors of a server's certificate other than a missing trusted signature, by Node's error codes. */
const remedyOfTls: ReadonlyMap<string, string> = new Map([
  [
    "CERT_HAS_EXPIRED",
    "renew the certificate of the server or of its authority, or lower sslMode to Require without sslRootCert meanwhile",
  ],
  ["CERT_NOT_YET_VALID", "compare the clocks of this machine and of the machine that created the server's certificate"],
  [
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "set host to a name in the certificate, or set sslRootCert and lower sslMode to VerifyCA, which then does not check the name",
  ],
]);

/** Explains errors without a specific code by their text. */
function meaningOfWords(error: unknown, { sslMode }: Endpoint): Meaning | undefined {
  const code = sqlStateOf(error);
  const message = messageOf(error);
  if (message.startsWith("SASL: ")) return invalidSasl(message);
  // A network failure during the TLS handshake is not a refusal.
  if (/^(ECONNRESET|EPIPE|ETIMEDOUT)/.test(code)) return undefined;
  if (/does not support SSL/.test(message))
    return {
      what: "the server does not support TLS",
      remedy: `set ssl = on on the server, because sslMode is ${sslMode}`,
      code: "603001",
    };
  if (/certificate|self[- ]signed|Hostname\/IP|altnames|SSL|TLS|EPROTO/i.test(`${code} ${message}`))
    return {
      what: "the TLS handshake failed",
      remedy: remedyOfTls.get(code) ?? "set sslRootCert to the server's root certificate",
      code: "603001",
    };
  // Only errors sent by a server have a severity.
  if ("severity" in (error as object))
    return {
      what: "the server answers, but does not start a session",
      remedy: "correct the cause in the server's message",
      code: "603000",
      passes: true,
    };
  return undefined;
}

/** `pg` names each step of SCRAM that fails on its side. */
const invalidSasl = (said: string): Meaning =>
  said.startsWith("SASL: Only mechanism")
    ? {
        what: "the server asks for an authentication that this package does not support",
        remedy:
          "put a line with scram-sha-256 into pg_hba.conf for this role and machine, then SELECT pg_reload_conf()",
        code: "PGM-101",
      }
    : {
        what: "the server's part of the password authentication (SCRAM) is invalid",
        remedy: "check host and port: a server that does not have the role's password may answer there",
        code: "603100",
      };

const noAnswer = ({ host, port }: Endpoint): Meaning => ({
  what: "nothing answers",
  remedy: `check host, port, firewall and that PostgreSQL listens there: pg_isready -h ${host} -p ${port}`,
  code: "603000",
  passes: true,
});
