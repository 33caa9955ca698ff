import type { Client } from "pg";
import type { Finding } from "../../findings.js";

const server = { type: "ServerParametersValidation", objectType: "Instance" } as const;

const alter = (name: string, value: string | number): string =>
  `ALTER SYSTEM SET ${name} = ${value}; then restart the source (on RDS, Cloud SQL and Azure: its server parameter)`;

/** 603105 to 603107, 603112: the source can publish changes, and has enough free slots and WAL senders. */
export async function walSettings(source: Client, databases: number): Promise<Finding[]> {
  const { rows } = await source.query<{
    level: string;
    isStandby: boolean;
    slots: number;
    slotsUsed: number;
    senders: number;
    sendersUsed: number;
  }>(
    `SELECT current_setting('wal_level') AS level, pg_is_in_recovery() AS "isStandby",
            current_setting('max_replication_slots')::int AS slots,
            (SELECT count(*)::int FROM pg_replication_slots) AS "slotsUsed",
            current_setting('max_wal_senders')::int AS senders,
            (SELECT count(*)::int FROM pg_stat_replication) AS "sendersUsed"`,
  );
  const { level, isStandby, slots, slotsUsed, senders, sendersUsed } = rows[0]!;
  return [
    ...role(isStandby, level),
    ...room(
      { code: "603105", object: "max_replication_slots", what: "replication slots" },
      slots,
      slotsUsed,
      databases,
    ),
    ...room({ code: "603106", object: "max_wal_senders", what: "WAL senders" }, senders, sendersUsed, databases),
  ];
}

function role(isStandby: boolean, level: string): Finding[] {
  const findings: Finding[] = [];
  if (isStandby)
    findings.push({
      ...{ ...server, state: "Failed", code: "603112" },
      message: "the source is a standby: publications cannot be created there",
      remedy: "set source to the primary server",
    });
  if (level !== "logical")
    findings.push({
      ...{ ...server, state: "Failed", code: "603107", object: "wal_level" },
      message: `wal_level is ${level} on the source; replication needs logical`,
      remedy: alter("wal_level", "logical"),
    });
  return findings;
}

interface Room {
  readonly code: string;
  /** The parameter that sets the limit. */
  readonly object: string;
  readonly what: string;
}

/**
 * With one for each database and one more, all are replicated at the same time. With fewer, the worker makes databases
 * wait.
 */
function room({ code, object, what }: Room, limit: number, used: number, databases: number): Finding[] {
  const free = limit - used;
  // One more than the number of databases: the cutover compares content in the snapshot of a temporary slot.
  const wanted = databases + 1;
  if (free >= wanted) return [];
  const inTurn = ` to replicate ${databases} databases at once: ${wanted - free} of them will wait until one is free`;
  return [
    {
      ...{ ...server, code, object, state: free < 2 ? "Failed" : "Warning" },
      message: `${free} of ${limit} ${what} are free on the source; ${wanted} are needed${free < 2 ? "" : inTurn}`,
      remedy: alter(object, used + wanted),
    },
  ];
}
