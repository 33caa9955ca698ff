import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { EmbeddedServer } from "./embedded-server";

/** The slots, sessions and publications of migrations that a server still has. */
export async function leftOnServer(server: EmbeddedServer): Promise<string[]> {
  if (isQuiet(server)) return [];
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

/**
 * Whether the server's processes and files show that it has no sessions, slots and publications. Most tests leave it so, and
 * a session that asks costs more than many of these tests.
 */
function isQuiet(server: EmbeddedServer): boolean {
  if (process.platform !== "linux" || server.processId === undefined) return false;
  try {
    const data = server.dataDirectory;
    return (
      readdirSync(join(data, "pg_replslot")).length === 0 &&
      readdirSync(join(data, "base")).every((oid) => !wasPublished(join(data, "base", oid))) &&
      !hasSessions(server.processId)
    );
  } catch {
    // The server was stopped, or a database is dropped at this moment.
    return false;
  }
}

const wasPublished = (database: string): boolean =>
  (statSync(join(database, "6104"), { throwIfNoEntry: false })?.size ?? 0) > 0;

/** The title of a session's process ends with the client's address and the command. Other processes have no address. */
const hasSessions = (postmaster: number): boolean =>
  readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, "utf8")
    .trim()
    .split(" ")
    .some((pid) => pid !== "" && !isAuxiliary(readFileSync(`/proc/${pid}/cmdline`, "latin1")));

/** A process without a title of its own has just been started. A zombie has none at all. */
const isAuxiliary = (title: string): boolean =>
  title === "" || (title.startsWith("postgres: ") && !/\(\d+\)/.test(title));
