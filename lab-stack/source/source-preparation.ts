/** What has to be done on the source before a migration. */
export interface SourcePreparation {
  /** Lines for pg_hba.conf. Replace `<...>`, which stands for an address that the lab does not know. */
  readonly pgHba: readonly string[];
  /** Commands for psql, to be run as a superuser for an online migration. Restart the server afterwards. */
  readonly walLevel: readonly string[];
}

/**
 * @param clients the address ranges that connect to the source
 * @example sourcePreparation("postgres", ["10.0.1.0/24"]).pgHba[0] === "host all postgres 10.0.1.0/24 scram-sha-256"
 */
export function sourcePreparation(user: string, clients: readonly string[]): SourcePreparation {
  const quoted = /^[a-z_][a-z0-9_]*$/.test(user) ? user : `"${user.replaceAll('"', '""')}"`;
  return {
    pgHba: clients.map((range) => `host all ${quoted} ${range} scram-sha-256`),
    walLevel: [
      "ALTER SYSTEM SET wal_level = 'logical';",
      "ALTER SYSTEM SET max_replication_slots = 20;",
      "ALTER SYSTEM SET max_wal_senders = 20;",
      "-- restart the server, then: SHOW wal_level;",
    ],
  };
}
