import { AddressRange } from "./address-range";

/** What has to be done on the source, by hand, before a private server may migrate from it. */
export interface SourcePreparation {
  /** A line for pg_hba.conf: lets the target's whole subnet in, since a server's address may change in it. */
  readonly pgHba: string;
  /** For psql, as a superuser; the server is restarted afterwards. */
  readonly walLevel: readonly string[];
}

/** @param from where the connections come from: the server's subnet, or another range */
export function sourcePreparation(user: string, from: string): SourcePreparation {
  const quoted = /^[a-z_][a-z0-9_]*$/.test(user) ? user : `"${user.replaceAll('"', '""')}"`;
  return {
    pgHba: `host all ${quoted} ${AddressRange.parse(from).text} scram-sha-256`,
    walLevel: [
      "ALTER SYSTEM SET wal_level = 'logical';",
      "ALTER SYSTEM SET max_replication_slots = 20;",
      "ALTER SYSTEM SET max_wal_senders = 20;",
      "-- restart the server, then: SHOW wal_level;",
    ],
  };
}
