import { qualify } from "../../postgres/identifiers.js";
import type { RelationName } from "../../postgres/identifiers.js";

export interface DumpOptions {
  /** An exported snapshot (pg_export_snapshot) in which to read the catalogue. */
  readonly snapshot?: string | undefined;
  /** Use this one only; else a native pg_dump that is new enough, and the WASM one where there is none or it fails. */
  readonly tool?: "native" | "wasm" | undefined;
  /** Tables to leave out: pg_dump locks all others, which takes the right to read them. */
  readonly without?: readonly RelationName[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** How long to try where others keep tables locked; a minute by default. */
  readonly lockSeconds?: number;
}

/**
 * pg_dump locks table after table, and keeps what it has while it waits for the next. Shorter than PostgreSQL's
 * deadlock_timeout, so that no application loses its transaction to it: whoever wants what we have gets it before he is
 * told of a deadlock.
 */
const lockWaitMs = 500;

/** What pg_dump is asked for, whichever one it is. */
export function dumpArguments({ snapshot, without = [] }: DumpOptions): string[] {
  return [
    "--schema-only",
    "--verbose",
    "--encoding=UTF8",
    // The engine's own bookkeeping, where the source was the target of a migration before.
    "--exclude-schema=pgmigration",
    `--lock-wait-timeout=${lockWaitMs}`,
    // In quotes nothing of a name is a pattern.
    ...without.map(({ schema, name }) => `--exclude-table=${qualify(schema, name)}`),
    ...(snapshot === undefined ? [] : [`--snapshot=${snapshot}`]),
  ];
}
