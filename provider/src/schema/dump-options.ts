export interface DumpOptions {
  /** An exported snapshot (pg_export_snapshot) in which to read the catalogue. */
  readonly snapshot?: string | undefined;
  /** Use this one only; else a native pg_dump that is new enough, and the WASM one where there is none or it fails. */
  readonly tool?: "native" | "wasm" | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What pg_dump is asked for, whichever one it is. */
export function dumpArguments({ snapshot }: DumpOptions): string[] {
  return [
    "--schema-only",
    "--verbose",
    "--encoding=UTF8",
    // The engine's own bookkeeping, where the source was the target of a migration before.
    "--exclude-schema=pgmigration",
    // A lock that is held for longer than this is named by pg_dump's error, rather than waited for in silence.
    "--lock-wait-timeout=600000",
    ...(snapshot === undefined ? [] : [`--snapshot=${snapshot}`]),
  ];
}
