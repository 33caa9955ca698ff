import type { Client } from "pg";
import { detectPlatform } from "../platforms/detect-platform.js";
import { parameterCommands, type Platform } from "../platforms/platform.js";
import type { Problem } from "../findings.js";
import { readOnlyDefault } from "./read-only-default.js";

/** Values by name, in the units of pg_settings. A parameter that the server does not have is absent. */
export type ParameterValues = ReadonlyMap<string, string>;

/** A value that Microsoft recommends only while data is restored. */
interface RestoreValue {
  readonly name: string;
  readonly value: number;
  readonly text: string;
}

/** @see https://learn.microsoft.com/en-us/azure/postgresql/troubleshoot/how-to-pgdump-restore#server-parameters */
const restoreValues: readonly RestoreValue[] = [
  { name: "max_wal_size", value: 65536, text: "64 GB" },
  { name: "checkpoint_timeout", value: 3600, text: "60 min" },
  { name: "maintenance_work_mem", value: 2097151, text: "2 GB" },
];

const checked = [
  ...restoreValues.map(({ name }) => name),
  ...["autovacuum", "pgbouncer.enabled", "track_io_timing", "pg_stat_statements.track"],
];

/** PGM-302, and PGM-821 to PGM-825: settings of the target that Azure's documentation advises against after a migration. */
export async function checkParameters(session: Client): Promise<Problem[]> {
  // pg_settings lacks the parameters of modules that are not loaded.
  const { rows } = await session.query<{ name: string; value: string | null }>(
    `SELECT wanted.name, coalesce(s.reset_val, pg_catalog.current_setting(wanted.name, true)) AS value
       FROM pg_catalog.unnest($1::text[]) AS wanted(name) LEFT JOIN pg_catalog.pg_settings s ON s.name = wanted.name`,
    [checked],
  );
  const values = new Map(rows.flatMap(({ name, value }) => (value === null ? [] : [[name, value] as const])));
  return [...(await readOnlyDefault(session)), ...parameterProblems(values, await detectPlatform(session))];
}

export function parameterProblems(values: ParameterValues, platform: Platform): Problem[] {
  const set = (name: string, value: string): string => parameterCommands(platform, [{ name, value }]);
  const isOff = (name: string): boolean => /^(off|false|no|0)$/i.test(values.get(name) ?? "");
  return [
    ...(isOff("autovacuum") ? [autovacuumOff(set("autovacuum", "on"))] : []),
    ...restoreValues
      .filter(({ name, value }) => Number(values.get(name) ?? 0) >= value)
      .map((one) => restoreValueLeft(one, set(one.name, "<value>"))),
    ...(isOff("pgbouncer.enabled") ? [poolerOff(set("pgbouncer.enabled", "true"))] : []),
    ...(isOff("track_io_timing") ? [ioTimingOff(set("track_io_timing", "on"))] : []),
    ...statementsProblems(values.get("pg_stat_statements.track"), set("pg_stat_statements.track", "top")),
  ];
}

const problem = (object: string, one: Pick<Problem, "state" | "code" | "message" | "remedy">): Problem => ({
  type: "ServerParametersValidation",
  objectType: "Instance",
  object,
  ...one,
});

/** @see https://learn.microsoft.com/en-us/azure/postgresql/troubleshoot/how-to-autovacuum-tuning */
const autovacuumOff = (remedy: string): Problem =>
  problem("autovacuum", {
    state: "Failed",
    code: "PGM-821",
    message: "autovacuum is off, so tables grow and their statistics become old",
    remedy,
  });

const restoreValueLeft = ({ name, text }: RestoreValue, remedy: string): Problem =>
  problem(name, {
    state: "Warning",
    code: "PGM-822",
    message: `${name} is at least ${text}, which Microsoft recommends only while data is restored`,
    remedy,
  });

/** @see https://learn.microsoft.com/en-us/azure/postgresql/connectivity/concepts-pgbouncer */
const poolerOff = (remedy: string): Problem =>
  problem("pgbouncer.enabled", {
    state: "Warning",
    code: "PGM-823",
    message:
      "Azure's PgBouncer is off: it helps applications with many idle or short connections, which then use port 6432",
    remedy: `if applications have no pool of their own, and the tier is not Burstable, which has no PgBouncer: ${remedy}`,
  });

/** @see https://learn.microsoft.com/en-us/azure/postgresql/troubleshoot/how-to-high-io-utilization */
const ioTimingOff = (remedy: string): Problem =>
  problem("track_io_timing", {
    state: "Warning",
    code: "PGM-824",
    message: "track_io_timing is off, so statistics of queries do not show how long they read and write",
    remedy,
  });

/** @see https://learn.microsoft.com/en-us/azure/postgresql/troubleshoot/how-to-optimize-query-stats-collection */
function statementsProblems(track: string | undefined, remedy: string): Problem[] {
  if (track !== undefined && track !== "none") return [];
  const found = track === undefined ? "is not loaded" : "records nothing";
  const load = "add pg_stat_statements to shared_preload_libraries, restart the server, then ";
  return [
    problem("pg_stat_statements.track", {
      state: "Warning",
      code: "PGM-825",
      message: `pg_stat_statements ${found}, so slow queries cannot be found; recording them costs some time in each query`,
      remedy: `${track === undefined ? load : ""}${remedy}`,
    }),
  ];
}
