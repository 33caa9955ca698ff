import { alterRoleReplication, assignment, exceptWalLevel, type Platform } from "./platform.js";

/**
 * Commands of Supabase. Its CLI restarts the database unless it gets `--no-restart`.
 *
 * @see https://supabase.com/docs/guides/database/custom-postgres-config
 */
export const supabase: Platform = {
  name: "Supabase",
  sourceTypes: ["Supabase_PostgreSQL"],
  recognizedBy: "the role `supabase_admin`",
  set: (parameters) =>
    exceptWalLevel(
      parameters,
      (others) =>
        `supabase --experimental --project-ref <project> postgres-config update ${others.map((one) => `--config ${assignment(one)}`).join(" ")}`,
    ),
  grantReplication: alterRoleReplication,
  allow: ({ address }) => [
    `supabase --experimental --project-ref <project> network-restrictions update --db-allow-cidr ${address} --append`,
  ],
  host: "db.<project>.supabase.co and port 5432: the direct host, not <region>.pooler.supabase.com or port 6543. It has an IPv6 address; for a worker with IPv4 only, enable the IPv4 add-on",
  systemSchemas: [
    ...["_analytics", "_realtime", "auth", "extensions", "graphql", "graphql_public", "pgbouncer", "pgsodium"],
    ...["realtime", "storage", "supabase_functions", "supabase_migrations", "vault"],
  ],
  systemRoles: [
    ...["anon", "authenticated", "authenticator", "dashboard_user", "pgbouncer", "service_role", "supabase_admin"],
    ...["supabase_auth_admin", "supabase_read_only_user", "supabase_realtime_admin", "supabase_replication_admin"],
    "supabase_storage_admin",
  ],
  documentation: [
    "https://supabase.com/docs/guides/database/custom-postgres-config",
    "https://supabase.com/docs/guides/platform/network-restrictions",
    "https://supabase.com/docs/guides/database/replication/manual-replication-faq",
  ],
};
