import type { EmbeddedServer } from "./embedded-server";

/** The slots, sessions and publications of migrations that a server still has. */
export async function leftOnServer(server: EmbeddedServer): Promise<string[]> {
  const where = `on PostgreSQL ${server.major}:${server.port}`;
  const rows = await server.query<{ what: string | null; database: string }>(
    `SELECT format('slot %s', slot_name) AS what, NULL AS database FROM pg_replication_slots
     UNION ALL
     SELECT format('session %s in %s', application_name, datname), NULL FROM pg_stat_activity
      WHERE application_name LIKE 'pg-migration%'
        -- Sessions that tests keep from one test to the next.
        AND application_name <> 'pg-migration test'
     UNION ALL
     -- Databases that ever had a publication: the file of pg_publication (6104 everywhere) is not empty.
     SELECT NULL, datname FROM pg_database
      WHERE datallowconn AND (pg_stat_file(format('base/%s/6104', oid), true)).size IS DISTINCT FROM 0`,
  );
  const published = rows.filter(({ what }) => what === null);
  const publications = await Promise.all(published.map(({ database }) => publicationsIn(server, database)));
  return [...rows.flatMap(({ what }) => what ?? []), ...publications.flat()].map((what) => `${what} ${where}`);
}

async function publicationsIn(server: EmbeddedServer, database: string): Promise<string[]> {
  if (server.major < 10) return [];
  const rows = await server.query<{ pubname: string }>(
    "SET statement_timeout = 0; SELECT pubname FROM pg_catalog.pg_publication WHERE pubname LIKE 'pg_migration%'",
    { database },
  );
  return rows.map(({ pubname }) => `publication ${pubname} in ${database}`);
}
