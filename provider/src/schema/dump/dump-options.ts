import { qualify } from "../../postgres/identifiers.js";
import type { RelationName } from "../../postgres/identifiers.js";

/** What the sessions of pg_dump are for; part of their application_name. */
export const dumpPurpose = "dump";

export interface DumpOptions {
  /** server_version_num of the source. Without it, another session reads it. */
  readonly version?: number | undefined;
  /** An exported snapshot (pg_export_snapshot) for reading the catalogue. */
  readonly snapshot?: string | undefined;
  /**
   * The only tool to use. By default, a native pg_dump of a sufficient version is tried first, then the WASM one.
   */
  readonly tool?: "native" | "wasm" | undefined;
  /** Tables to omit. pg_dump locks all others, which requires SELECT. */
  readonly without?: readonly RelationName[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Time limit for locks held by other sessions; 60 by default. */
  readonly lockSeconds?: number;
}

/**
 * pg_dump locks one table after another, and keeps its locks while it waits for the next. The timeout is shorter than
 * PostgreSQL's deadlock_timeout, so that pg_dump releases its locks before an application's transaction fails with a
 * deadlock.
 */
const lockWaitMs = 500;

/** Arguments for both kinds of pg_dump. */
export function dumpArguments({ snapshot, without = [] }: DumpOptions): string[] {
  return [
    "--schema-only",
    "--verbose",
    "--encoding=UTF8",
    // The engine's own records, if the source was the target of an earlier migration.
    "--exclude-schema=pgmigration",
    `--lock-wait-timeout=${lockWaitMs}`,
    // In quotes, no character of a name is a wildcard.
    ...without.map(({ schema, name }) => `--exclude-table=${qualify(schema, name)}`),
    ...(snapshot === undefined ? [] : [`--snapshot=${snapshot}`]),
  ];
}
