import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import type { ConnectOptions, Endpoint } from "./endpoint.js";
import { sqlStateOf, sqlStates } from "../sql-state.js";

/** What it means that a connection does not come about, and what to do. */
interface Meaning {
  readonly what: string;
  readonly remedy: string;
  readonly code: string;
  /** It may be another matter in a moment: worth another try. */
  readonly passes?: true;
}

/** Names what refused: the password, pg_hba.conf, the database, TLS, a full server, or nobody at all. */
export function connectionFailure(
  error: unknown,
  endpoint: Endpoint,
  options: ConnectOptions,
): RefusedError | UnreachableError {
  if (error instanceof RefusedError || error instanceof UnreachableError) return error;
  const { what, remedy, code, passes } =
    meaningOfState(error, endpoint, options) ?? meaningOfWords(error) ?? noAnswer(endpoint);
  const where = `${endpoint.user}@${endpoint.host}:${endpoint.port}/${options.database}`;
  const message = `${where}: ${what} (${messageOf(error) || sqlStateOf(error)})`;
  const details = { remedy, code, cause: error };
  return passes ? new UnreachableError(message, details) : new RefusedError(message, details);
}

function meaningOfState(error: unknown, endpoint: Endpoint, options: ConnectOptions): Meaning | undefined {
  const { user } = endpoint;
  const { database } = options;
  switch (sqlStateOf(error)) {
    case sqlStates.invalidPassword:
      // PostgreSQL does not reveal which of both it is.
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
        code: "603102",
      };
    case sqlStates.insufficientPrivilege:
      return { what: "the role may not connect", remedy: `GRANT CONNECT ON DATABASE to ${user}`, code: "603110" };
    case sqlStates.tooManyConnections:
      return fullServer(error);
    case sqlStates.protocolViolation:
      return {
        what: "what answers there does not take such a connection, as a pooler does not",
        remedy: "give host and port of the server itself (on Azure 5432, not PgBouncer's 6432)",
        code: "603000",
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
  { user, sslMode }: Endpoint,
  { database, replication }: ConnectOptions,
): Meaning {
  if (/valid client certificate/.test(messageOf(error)))
    return {
      what: "the server asks for a client certificate, which a migration has not",
      remedy: `put a line into pg_hba.conf, before the one with cert or clientcert, that lets ${user} in from this machine by a password: hostssl all ${user} <this machine's address>/32 scram-sha-256 (md5 before 10), then SELECT pg_reload_conf()`,
      code: "603002",
    };
  // In whatever language the server speaks.
  if (!messageOf(error).includes("pg_hba.conf"))
    return {
      what: "the server refuses the role",
      remedy: `check that the role ${user} exists and may log in`,
      code: "603100",
    };
  const byTls = sslMode === "Disable" ? "set sslMode to Require, should the server let in by TLS alone, or " : "";
  const line = replication
    ? `add to pg_hba.conf: host ${database},replication ${user} <this machine's address>/32 scram-sha-256 (md5 before 10), then SELECT pg_reload_conf()`
    : `add a line to pg_hba.conf that lets ${user} reach ${database} from this machine, then SELECT pg_reload_conf()`;
  return { what: "the server's pg_hba.conf refuses this connection", remedy: byTls + line, code: "603002" };
}

function fullServer(error: unknown): Meaning {
  if (messageOf(error).includes("max_wal_senders"))
    return {
      what: "the server has no WAL sender left",
      remedy:
        "end streams that nothing needs (see pg_stat_replication), or raise max_wal_senders and restart the server: a migration takes one for each database, and one more for comparisons",
      code: "603101",
    };
  // Which passes, as when the applications have come back at once after a restart.
  return {
    what: "the server has no connection left",
    remedy:
      "end idle sessions, or raise max_connections and restart the server: a database that is copied takes a dozen, by default, and four are copied at a time",
    code: "603000",
    passes: true,
  };
}

/** Of what is wrong with a server's certificate, beside that nobody who is trusted has signed it. By the codes of Node. */
const remedyOfTls: ReadonlyMap<string, string> = new Map([
  [
    "CERT_HAS_EXPIRED",
    "have the server's certificate, or that of its authority, renewed, or lower sslMode to Require without sslRootCert meanwhile",
  ],
  ["CERT_NOT_YET_VALID", "compare the clocks of this machine and of whoever made the server's certificate"],
  [
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "use a name that the certificate has as host, or lower sslMode to VerifyCA, which does not look at the name",
  ],
]);

/** By what it says, where no code tells. */
function meaningOfWords(error: unknown): Meaning | undefined {
  const code = sqlStateOf(error);
  const said = messageOf(error);
  if (said.startsWith("SASL: ")) return invalidSasl(said);
  // Also in the middle of agreeing on TLS: what a network breaks off is no refusal.
  if (/^(ECONNRESET|EPIPE|ETIMEDOUT)/.test(code)) return undefined;
  if (/does not support SSL/.test(said))
    return {
      what: "the server offers no TLS",
      remedy: "switch ssl on there, or set sslMode to Prefer",
      code: "603001",
    };
  if (/certificate|self[- ]signed|Hostname\/IP|altnames|SSL|TLS|EPROTO/i.test(`${code} ${said}`))
    return {
      what: "TLS could not be agreed on",
      remedy: remedyOfTls.get(code) ?? "give the root certificate of the server as sslRootCert, or lower sslMode",
      code: "603001",
    };
  // By its severity it is known for a server's own word.
  if ("severity" in (error as object))
    return {
      what: "the server answers, but begins no session",
      remedy: "correct on the server what it names",
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
        code: "603002",
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
