import type { Client } from "pg";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import type { Finding } from "../../findings.js";
import type { Rule } from "../context.js";
import { parameterCommands, type Platform } from "../../platforms/platform.js";
import { formatBytes } from "../../units/byte-size.js";

export interface WalRetention {
  /** Size of the databases on disk. The source may write as much WAL while they are copied. */
  readonly databaseBytes: number;
  /** `max_slot_wal_keep_size`; undefined without a limit, as before 13. */
  readonly keepBytes: number | undefined;
  /** The input `maxRetainedWal`. */
  readonly limitBytes: number | undefined;
  /** Size of pg_wal; undefined if this role may not read it. */
  readonly walBytes: number | undefined;
  readonly platform: Platform;
}

const server = { type: "ServerParametersValidation", objectType: "Instance", state: "Warning" } as const;

/** Copies of smaller databases end before their WAL can fill a disk. */
const largeBytes = 10 * 1024 ** 3;

/** Online: the source can retain the WAL that it writes during the copy. */
export const walRetention: Rule = async ({ sources, sourcePlatform: platform, spec }) => {
  const [source] = sources.values();
  if (spec.migrationMode === "Offline" || !source) return [];
  const { rows } = await source.query<{ databaseBytes: number; keepBytes: number | null }>(
    `SELECT (SELECT sum(pg_database_size(datname))::float8 FROM pg_database WHERE datname = ANY ($1)) AS "databaseBytes",
            (SELECT nullif(setting, '-1')::float8 * 1024 * 1024 FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS "keepBytes"`,
    [[...sources.keys()]],
  );
  const { databaseBytes, keepBytes } = rows[0]!;
  return walRetentionFindings({
    databaseBytes,
    keepBytes: keepBytes ?? undefined,
    limitBytes: spec.maxRetainedWal,
    walBytes: await walBytes(source),
    platform,
  });
};

/**
 * Warns if the source may remove WAL that the copy still needs, or if nothing limits the WAL on its disk. PostgreSQL does not
 * show the free space of a disk to SQL.
 */
export function walRetentionFindings({
  databaseBytes,
  keepBytes,
  limitBytes,
  walBytes,
  platform,
}: WalRetention): Finding[] {
  const copied = `${formatBytes(databaseBytes)} are copied meanwhile`;
  if (keepBytes !== undefined && keepBytes < databaseBytes) {
    // The parameter's unit is the megabyte.
    const enough = { name: "max_slot_wal_keep_size", value: String(Math.ceil(databaseBytes / 1024 ** 2)) };
    return [
      {
        ...{ ...server, code: "PGM-210", object: "max_slot_wal_keep_size" },
        message: `max_slot_wal_keep_size is ${formatBytes(keepBytes)} on the source, and ${copied}: if the source writes more WAL than that, the slot is lost and the copy starts again`,
        remedy: `on the source, if its disk has room: ${parameterCommands(platform, [enough])}`,
      },
    ];
  }
  if (keepBytes !== undefined || limitBytes !== undefined || databaseBytes < largeBytes) return [];
  const now = walBytes === undefined ? "" : `; pg_wal has ${formatBytes(walBytes)} now`;
  return [
    {
      ...{ ...server, code: "PGM-211", object: "pg_wal" },
      message: `nothing limits the WAL that the source retains for a slot, and ${copied}${now}; SQL cannot read how much space is free on the source's disk`,
      remedy: `check that the disk of pg_wal has about ${formatBytes(databaseBytes)} free, or set maxRetainedWal to what it has`,
    },
  ];
}

/** Only superusers and members of pg_monitor may list the directory, from 10 on. */
async function walBytes(source: Client): Promise<number | undefined> {
  try {
    const { rows } = await source.query<{ bytes: number }>(
      "SELECT coalesce(sum(size), 0)::float8 AS bytes FROM pg_ls_waldir()",
    );
    return rows[0]!.bytes;
  } catch (error) {
    const unreadable: readonly string[] = [sqlStates.insufficientPrivilege, sqlStates.undefinedFunction];
    if (unreadable.includes(sqlStateOf(error))) return undefined;
    throw error;
  }
}
