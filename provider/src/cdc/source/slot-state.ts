import type { Client } from "pg";
import { type Lsn, parseLsn } from "../../postgres/lsn.js";
import { serverVersion } from "../../postgres/server-version.js";

export interface SlotState {
  readonly plugin: string;
  readonly temporary: boolean;
  /** The process that streams from it; undefined if no session does. */
  readonly activePid: number | undefined;
  readonly confirmedFlushLsn: Lsn | undefined;
  readonly restartLsn: Lsn | undefined;
  /** `reserved`, `extended`, `unreserved` or `lost`; undefined before 13, which never removes WAL that a slot needs. */
  readonly walStatus: string | undefined;
  /** pg_replication_slots.invalidation_reason; undefined for a valid slot, and before 17. */
  readonly invalidationReason: string | undefined;
  /** Seconds since a session last read the slot; undefined while a session reads it, and before 17. */
  readonly idleSeconds: number | undefined;
  /** WAL that the source keeps because of this slot. */
  readonly retainedBytes: number | undefined;
  /** WAL after the position that the stream has confirmed. */
  readonly unconfirmedBytes: number | undefined;
}

/** Undefined if no slot has this name. */
export async function inspectSlot(source: Client, slot: string): Promise<SlotState | undefined> {
  const version = await serverVersion(source);
  const position = version >= 100000 ? "pg_current_wal_lsn()" : "pg_current_xlog_location()";
  const distance = version >= 100000 ? "pg_wal_lsn_diff" : "pg_xlog_location_diff";
  const confirmed = version >= 90600 ? "confirmed_flush_lsn" : "NULL";
  const { rows } = await source.query<Record<string, string | number | boolean | null>>(
    `SELECT plugin, active_pid, restart_lsn,
            ${confirmed} AS confirmed_flush_lsn,
            ${version >= 100000 ? "temporary" : "false"} AS temporary,
            ${version >= 130000 ? "wal_status" : "NULL"} AS wal_status,
            ${version >= 170000 ? "invalidation_reason" : "NULL"} AS invalidation_reason,
            ${version >= 170000 ? "extract(epoch FROM clock_timestamp() - inactive_since)::float8" : "NULL"} AS idle,
            ${distance}(${position}, restart_lsn)::float8 AS retained,
            ${distance}(${position}, ${version >= 90600 ? "confirmed_flush_lsn" : "restart_lsn"})::float8 AS unconfirmed
       FROM pg_catalog.pg_replication_slots WHERE slot_name = $1`,
    [slot],
  );
  const row = rows[0];
  if (!row) return undefined;
  const lsn = (text: unknown): Lsn | undefined => (typeof text === "string" ? parseLsn(text) : undefined);
  return {
    plugin: String(row.plugin),
    temporary: row.temporary === true,
    activePid: (row.active_pid as number | null) ?? undefined,
    confirmedFlushLsn: lsn(row.confirmed_flush_lsn),
    restartLsn: lsn(row.restart_lsn),
    walStatus: (row.wal_status as string | null) ?? undefined,
    invalidationReason: (row.invalidation_reason as string | null) ?? undefined,
    idleSeconds: (row.idle as number | null) ?? undefined,
    retainedBytes: (row.retained as number | null) ?? undefined,
    unconfirmedBytes: (row.unconfirmed as number | null) ?? undefined,
  };
}
