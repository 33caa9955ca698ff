import type { Client } from "pg";

/**
 * The superusers and the session's role, whose code may run with this role's privileges. All other owners are not trusted, also
 * those that no longer own anything: a dump may be older than the present owners.
 */
export async function readTrustedOwners(session: Client): Promise<ReadonlySet<string>> {
  const { rows } = await session.query<{ name: string }>(
    "SELECT rolname AS name FROM pg_catalog.pg_roles WHERE rolsuper OR rolname = current_user",
  );
  return new Set(rows.map(({ name }) => name));
}
