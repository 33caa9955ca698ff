import type { Client } from "pg";
import { parameterCommands, type Platform } from "../../platforms/platform.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";

/** One requirement of an online migration. */
export interface Check {
  readonly check: string;
  readonly current: string;
  readonly required: string;
  readonly ok: boolean;
  /** How to meet the requirement; only for a failed check. */
  readonly remedy?: string;
}

interface Facts {
  readonly version: string;
  readonly version_number: number;
  readonly wal_level: string;
  readonly slots_free: number;
  readonly slots: number;
  readonly senders_free: number;
  readonly senders: number;
  readonly role: string;
  readonly may_replicate: boolean;
  readonly standby: boolean;
}

const factsQuery = `
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS version_number, current_setting('wal_level') AS wal_level,
       current_setting('max_replication_slots')::int AS slots,
       current_setting('max_replication_slots')::int - (SELECT count(*)::int FROM pg_replication_slots) AS slots_free,
       current_setting('max_wal_senders')::int AS senders,
       current_setting('max_wal_senders')::int - (SELECT count(*)::int FROM pg_stat_replication) AS senders_free,
       current_user AS role, pg_is_in_recovery() AS standby,
       (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user)
         OR coalesce((SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = 'rds_replication'), false)
         AS may_replicate`;

/** Whether a source is ready to replicate this many databases. */
export async function checkSource(client: Client, platform: Platform, databases: number): Promise<Check[]> {
  const facts = (await client.query<Facts>(factsQuery)).rows[0]!;
  // One more than databases: the cutover compares under the snapshot of an additional slot.
  const wanted = databases + 1;
  const parameters = parameterCommands(platform, [
    { name: "wal_level", value: "logical" },
    { name: "max_replication_slots", value: String(facts.slots + Math.max(0, wanted - facts.slots_free)) },
    { name: "max_wal_senders", value: String(facts.senders + Math.max(0, wanted - facts.senders_free)) },
  ]);
  const check = ({ remedy, ...result }: Check): Check =>
    result.ok || remedy === undefined ? result : { ...result, remedy };
  const isFree = (name: string, free: number): Check =>
    check({
      check: name,
      current: `${free} free`,
      required: `${wanted} free`,
      ok: free >= wanted,
      remedy: parameters,
    });
  const {
    version,
    version_number: versionNumber,
    standby,
    wal_level: walLevel,
    role,
    may_replicate: replicates,
  } = facts;
  const upgrade = "upgrade the source to PostgreSQL 9.5 or later";
  const grant = platform.grantReplication(quoteIdentifier(role));
  const { name, offlineOnly } = platform;
  return [
    check({
      check: "platform",
      current: name,
      required: "supports logical replication",
      ok: offlineOnly === undefined,
      remedy: `${offlineOnly}: migrate with migrationMode Offline`,
    }),
    check({
      check: "version",
      current: version,
      required: "9.5 or later",
      ok: versionNumber >= 90500,
      remedy: upgrade,
    }),
    check({
      check: "primary server",
      current: standby ? "standby" : "primary",
      required: "primary",
      ok: !standby,
      remedy: "pass the primary server as source",
    }),
    check({
      check: "wal_level",
      current: walLevel,
      required: "logical",
      ok: walLevel === "logical",
      remedy: parameters,
    }),
    isFree("max_replication_slots", facts.slots_free),
    isFree("max_wal_senders", facts.senders_free),
    check({
      check: `role ${role}`,
      current: replicates ? "may replicate" : "may not replicate",
      required: "may replicate",
      ok: replicates,
      remedy: grant,
    }),
  ];
}
