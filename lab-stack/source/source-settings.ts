import type { ConnectionOptions } from "node:tls";
import pg from "pg";
import type { SslMode } from "pulumi-pg-migration";
import { LabError } from "../lab-error";

/** A server, and a role that may read its settings. */
export interface ServerLogin {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly sslMode: SslMode;
}

/** A parameter in which a new server should follow the old one. */
export interface ParameterProposal {
  readonly name: string;
  /** In the parameter's base unit, as Azure takes it. */
  readonly value: string;
  /** What the target has now; the default where there is no target yet. */
  readonly instead: string;
  readonly why: string;
}

/** The server cannot be asked for its settings. */
export class SettingsUnreadable extends LabError {}

const groups = {
  "changes what queries answer": [
    ...["TimeZone", "DateStyle", "IntervalStyle", "bytea_output", "extra_float_digits", "default_text_search_config"],
    ...[
      "array_nulls",
      "transform_null_equals",
      "standard_conforming_strings",
      "backslash_quote",
      "xmlbinary",
      "xmloption",
    ],
    ...[
      "default_transaction_isolation",
      "default_transaction_deferrable",
      "search_path",
      "row_security",
      "timezone_abbreviations",
    ],
  ],
  "changes which statements are ended": [
    ...["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "deadlock_timeout"],
  ],
  "is a limit that applications may reach": ["max_locks_per_transaction", "max_prepared_transactions"],
  "changes plans and speed": [
    ...["work_mem", "maintenance_work_mem", "random_page_cost", "seq_page_cost", "effective_io_concurrency", "jit"],
    ...["default_statistics_target", "from_collapse_limit", "join_collapse_limit", "enable_partitionwise_join"],
    ...["enable_partitionwise_aggregate", "max_parallel_workers_per_gather"],
  ],
  "keeps tables in order": [
    ...[
      "autovacuum",
      "autovacuum_vacuum_scale_factor",
      "autovacuum_analyze_scale_factor",
      "autovacuum_vacuum_cost_limit",
    ],
    ...["autovacuum_max_workers", "autovacuum_naptime"],
  ],
  "tells what is logged": ["log_min_duration_statement", "log_statement", "log_lock_waits", "track_functions"],
} as const;

/**
 * Why a parameter matters, by its name. Sizes that follow from the machine, such as shared_buffers, are Azure's
 * business.
 */
const reasons = new Map<string, string>(
  Object.entries(groups).flatMap(([why, names]) => names.map((name): [string, string] => [name, why])),
);

interface Setting {
  readonly name: string;
  readonly setting: string;
  readonly boot_val: string | null;
}

/**
 * Compares the source's settings with the target's, and proposes those that differ and matter. Without a target the
 * source's are compared with PostgreSQL's own defaults.
 *
 * @throws SettingsUnreadable
 */
export async function serverParametersFrom(source: ServerLogin, target?: ServerLogin): Promise<ParameterProposal[]> {
  const [theirs, ours] = await Promise.all([readSettings(source), target && readSettings(target)]);
  const present = new Map(ours?.map(({ name, setting }) => [name, setting]));
  return theirs.flatMap(({ name, setting, boot_val: standard }) => {
    // A parameter that the target does not know has gone with the version.
    const instead = ours ? present.get(name) : (standard ?? "");
    if (instead === undefined || instead === setting) return [];
    return [{ name, value: setting, instead, why: reasons.get(name)! }];
  });
}

/** Settings of the server itself: what a role or a database has set for itself migrates with it. */
async function readSettings(server: ServerLogin): Promise<Setting[]> {
  let client: pg.Client | undefined;
  try {
    client = await connect(server);
    const { rows } = await client.query<Setting>(
      `SELECT name, setting, boot_val FROM pg_settings
        WHERE name = ANY ($1) AND source NOT IN ('client', 'database', 'user', 'database user', 'session')
        ORDER BY name`,
      [[...reasons.keys()]],
    );
    return rows;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new SettingsUnreadable(`the settings of ${server.host}:${server.port} cannot be read: ${message}`, { cause });
  } finally {
    await client?.end().catch(() => undefined);
  }
}

/** How TLS is used, in each mode (PostgreSQL manual, "SSL Support"). */
const tls: Readonly<Record<SslMode, ConnectionOptions | false>> = {
  Disable: false,
  Prefer: { rejectUnauthorized: false },
  Require: { rejectUnauthorized: false },
  VerifyCA: { checkServerIdentity: () => undefined },
  VerifyFull: {},
};

async function connect({ sslMode, host, port, user, password }: ServerLogin): Promise<pg.Client> {
  const login = { host, port, user, password, database: "postgres" };
  const limits = { connectionTimeoutMillis: 10_000, query_timeout: 30_000, application_name: "pg-migration lab" };
  const connected = async (ssl: ConnectionOptions | false) => {
    const client = new pg.Client({ ...login, ...limits, ssl });
    await client.connect();
    return client;
  };
  try {
    return await connected(tls[sslMode]);
  } catch (error) {
    const hasNoTls = error instanceof Error && /does not support SSL/.test(error.message);
    if (sslMode === "Prefer" && hasNoTls) return connected(false);
    throw error;
  }
}
