import type { ConnectionOptions } from "node:tls";
import pg from "pg";
import type { SslMode } from "pulumi-pg-migration";
import { LabError } from "../lab-error";

/** A server and a role with permission to read its settings. */
export interface ServerLogin {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly sslMode: SslMode;
}

/** A parameter that should have the same value on the new server. */
export interface ParameterProposal {
  readonly name: string;
  /** In the parameter's base unit, which Azure expects. */
  readonly value: string;
  /** The target's value, or PostgreSQL's default if the target does not exist yet. */
  readonly targetValue: string;
  readonly reason: string;
}

/** The settings of a server could not be read. */
export class SettingsUnreadableError extends LabError {}

const groups = {
  "changes query results": [
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
  "changes which statements time out": [
    ...["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "deadlock_timeout"],
  ],
  "limits applications": ["max_locks_per_transaction", "max_prepared_transactions"],
  "changes query plans and speed": [
    ...["work_mem", "maintenance_work_mem", "random_page_cost", "seq_page_cost", "effective_io_concurrency", "jit"],
    ...["default_statistics_target", "from_collapse_limit", "join_collapse_limit", "enable_partitionwise_join"],
    ...["enable_partitionwise_aggregate", "max_parallel_workers_per_gather"],
  ],
  "changes the maintenance of tables": [
    ...[
      "autovacuum",
      "autovacuum_vacuum_scale_factor",
      "autovacuum_analyze_scale_factor",
      "autovacuum_vacuum_cost_limit",
    ],
    ...["autovacuum_max_workers", "autovacuum_naptime"],
  ],
  "changes what is logged": ["log_min_duration_statement", "log_statement", "log_lock_waits", "track_functions"],
} as const;

/**
 * The reason to copy a parameter, by its name. Parameters that depend on the machine, such as shared_buffers, are
 * missing because Azure sets them.
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
 * Proposes the relevant settings that differ between the source and the target. Without a target, the source is compared
 * with PostgreSQL's defaults.
 *
 * @throws SettingsUnreadableError
 */
export async function serverParametersFrom(source: ServerLogin, target?: ServerLogin): Promise<ParameterProposal[]> {
  const [sourceSettings, targetSettings] = await Promise.all([readSettings(source), target && readSettings(target)]);
  const targetValues = new Map(targetSettings?.map(({ name, setting }) => [name, setting]));
  return sourceSettings.flatMap(({ name, setting, boot_val: defaultValue }) => {
    // The version of the target may not have the parameter.
    const targetValue = targetSettings ? targetValues.get(name) : (defaultValue ?? "");
    if (targetValue === undefined || targetValue === setting) return [];
    return [{ name, value: setting, targetValue, reason: reasons.get(name)! }];
  });
}

/** Reads the settings of the server, without those of roles and databases, which the migration copies. */
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
    throw new SettingsUnreadableError(`could not read the settings of ${server.host}:${server.port}: ${message}`, {
      cause,
    });
  } finally {
    await client?.end().catch(() => undefined);
  }
}

/** TLS options of each mode (PostgreSQL manual, "SSL Support"). */
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
    const lacksTls = error instanceof Error && /does not support SSL/.test(error.message);
    if (sslMode === "Prefer" && lacksTls) return connected(false);
    throw error;
  }
}
