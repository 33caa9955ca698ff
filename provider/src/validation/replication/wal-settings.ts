import type { Client } from "pg";
import type { FindingCode } from "../../finding-codes/finding-code.js";
import type { Finding } from "../../findings.js";
import { parameterCommands, type Platform } from "../../platforms/platform.js";

const server = { type: "ServerParametersValidation", objectType: "Instance" } as const;

/** 603105 to 603107: the source can publish changes, and has enough free slots and WAL senders. */
export async function walSettings(source: Client, databases: number, platform: Platform): Promise<Finding[]> {
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
    ...role(isStandby, level, platform),
    ...room(
      { code: "603105", object: "max_replication_slots", what: "replication slots", limit: slots, used: slotsUsed },
      databases,
      platform,
    ),
    ...room(
      { code: "603106", object: "max_wal_senders", what: "WAL senders", limit: senders, used: sendersUsed },
      databases,
      platform,
    ),
  ];
}

function role(isStandby: boolean, level: string, platform: Platform): Finding[] {
  const findings: Finding[] = [];
  if (isStandby)
    findings.push({
      ...{ ...server, state: "Failed", code: "PGM-201" },
      message: "the source is a standby: publications cannot be created there",
      remedy: "set source to the primary server",
    });
  if (level !== "logical")
    findings.push({
      ...{ ...server, state: "Failed", code: "603107", object: "wal_level" },
      message: `wal_level is ${level} on the source; replication needs logical`,
      remedy: parameterCommands(platform, [{ name: "wal_level", value: "logical" }]),
    });
  return findings;
}

interface Room {
  readonly code: FindingCode;
  /** The parameter that sets the limit. */
  readonly object: string;
  readonly what: string;
  readonly limit: number;
  readonly used: number;
}

/**
 * With one for each database and one more, all are replicated at the same time. With fewer, the worker makes databases
 * wait.
 */
function room({ code, object, what, limit, used }: Room, databases: number, platform: Platform): Finding[] {
  const free = limit - used;
  // One more than the number of databases: the cutover compares content in the snapshot of a temporary slot.
  const wanted = databases + 1;
  if (free >= wanted) return [];
  const inTurn = ` to replicate ${databases} databases at once: ${wanted - free} of them will wait until one is free`;
  return [
    {
      ...{ ...server, code, object, state: free < 2 ? "Failed" : "Warning" },
      message: `${free} of ${limit} ${what} are free on the source; ${wanted} are needed${free < 2 ? "" : inTurn}`,
      remedy: parameterCommands(platform, [{ name: object, value: String(used + wanted) }]),
    },
  ];
}
