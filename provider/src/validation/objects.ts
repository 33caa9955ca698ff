import type { Client } from "pg";
import type { Finding } from "../store/journal.js";
import type { Rule } from "./context.js";

interface Check {
  readonly code?: string;
  /** Answers names in a column `name`. */
  readonly query: string;
  readonly onlineOnly?: true;
  /** Concerns only a target whose role is no superuser. */
  readonly superuserOnly?: true;
  /** The oldest source that has the catalogue. */
  readonly from?: number;
  readonly state?: "Failed";
  readonly message: (names: string) => string;
  readonly remedy: string;
}

/** Not an extension's. */
const ownOnly = (catalogue: string, oid: string): string =>
  `NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '${catalogue}'::regclass AND d.objid = ${oid} AND d.deptype = 'e')`;

/** Publications FOR TABLES IN SCHEMA, from 15 on; their catalogue is looked for by name, since older servers lack it. */
const schemaPublications = `SELECT p2.pubname FROM pg_publication p2 JOIN pg_depend d ON d.refobjid = p2.oid
  AND d.refclassid = 'pg_publication'::regclass AND d.classid = to_regclass('pg_catalog.pg_publication_namespace')`;

const checks: readonly Check[] = [
  {
    code: "603404",
    query: `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c
              JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE (to_jsonb(c) ->> 'relhasoids')::bool AND c.relkind = 'r' AND n.nspname !~ '^pg_'`,
    message: (names) =>
      `these tables were made WITH OIDS, which PostgreSQL 12 has given up: ${names}; their oid column is not migrated`,
    remedy: "ALTER TABLE ... SET WITHOUT OIDS on the source, after copying what refers to the oids",
  },
  {
    query: `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_index x
              JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE NOT x.indisvalid AND c.relkind = 'i' AND n.nspname !~ '^pg_'`,
    message: (names) =>
      `indexes that are invalid, left by a CREATE INDEX CONCURRENTLY that failed, are not migrated: ${names}`,
    remedy: "REINDEX INDEX CONCURRENTLY on the source where one is wanted, DROP INDEX where not",
  },
  {
    from: 100000,
    query:
      "SELECT subname AS name FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
    message: (names) => `subscriptions are not migrated, since they would pull from their publisher twice: ${names}`,
    remedy: "create them on the target with CREATE SUBSCRIPTION after the cutover, and drop them on the source",
  },
  {
    superuserOnly: true,
    query: `SELECT evtname AS name FROM pg_event_trigger e WHERE ${ownOnly("pg_event_trigger", "e.oid")}`,
    message: (names) => `event triggers can only be made by a superuser of the target, and are left out: ${names}`,
    remedy: "have them made by whoever may on the target, or do without",
  },
  {
    superuserOnly: true,
    from: 100000,
    query: `SELECT pubname AS name FROM pg_publication p
             WHERE pubname !~ '^pg_migration_' AND (puballtables OR pubname IN (${schemaPublications}))`,
    message: (names) =>
      `publications of all tables, or of schemas, take a superuser of the target, and are left out: ${names}`,
    remedy: "CREATE PUBLICATION ... FOR TABLE on the target, naming the tables",
  },
  {
    superuserOnly: true,
    query: `SELECT format('%s AS %s', c.castsource::regtype, c.casttarget::regtype) AS name FROM pg_cast c
             WHERE c.oid >= 16384 AND ${ownOnly("pg_cast", "c.oid")}
               AND c.castsource < 16384 AND c.casttarget < 16384`,
    message: (names) => `casts between built-in types take a superuser of the target, and are left out: ${names}`,
    remedy: "write the conversion in the queries that rely on it",
  },
  {
    superuserOnly: true,
    query: `SELECT fdwname AS name FROM pg_foreign_data_wrapper w WHERE ${ownOnly("pg_foreign_data_wrapper", "w.oid")}`,
    message: (names) =>
      `foreign-data wrappers take a superuser of the target, and are left out with their servers: ${names}`,
    remedy: "use a wrapper that an extension of the target brings",
  },
  {
    superuserOnly: true,
    state: "Failed",
    query: `SELECT t.ftrelid::regclass::text AS name FROM pg_foreign_table t JOIN pg_foreign_server s ON s.oid = t.ftserver
              JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE ${ownOnly("pg_foreign_data_wrapper", "w.oid")}`,
    message: (names) => `these foreign tables use a wrapper that only a superuser of the target can make: ${names}`,
    remedy: "drop them on the source, or exclude them: exclude: { tables: [...] }",
  },
  {
    superuserOnly: true,
    state: "Failed",
    query: `SELECT p.oid::regprocedure::text AS name FROM pg_proc p
              JOIN pg_language l ON l.oid = p.prolang JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE NOT l.lanpltrusted AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
               AND ${ownOnly("pg_proc", "p.oid")} AND NOT EXISTS (SELECT FROM pg_aggregate g WHERE g.aggfnoid = p.oid)
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                                  AND d.deptype = 'i')`,
    message: (names) => `functions in C or another untrusted language take a superuser of the target: ${names}`,
    remedy: "rewrite them in a trusted language (plpgsql, sql), or drop them on the source",
  },
  {
    superuserOnly: true,
    query: `SELECT format('%s %I', 'operator class', o.opcname) AS name FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace
             WHERE n.nspname <> 'pg_catalog' AND ${ownOnly("pg_opclass", "o.oid")}
            UNION ALL
            SELECT format('%s %I', 'text search', t.tmplname) FROM pg_ts_template t JOIN pg_namespace n ON n.oid = t.tmplnamespace
             WHERE n.nspname <> 'pg_catalog' AND ${ownOnly("pg_ts_template", "t.oid")}`,
    message: (names) =>
      `these take a superuser of the target, and are left out: ${names}; an index that needs one stops the migration`,
    remedy: "drop what uses them on the source, or exclude it",
  },
  {
    query: `SELECT spcname AS name FROM pg_tablespace t WHERE spcname NOT IN ('pg_default', 'pg_global')
               AND EXISTS (SELECT FROM pg_class c WHERE c.reltablespace = t.oid)`,
    message: (names) =>
      `what lies in the tablespaces ${names} goes into the target's default one where the target lacks them`,
    remedy: "none needed on a managed server, whose storage is one",
  },
  {
    onlineOnly: true,
    query: "SELECT 'large object ' || oid AS name FROM pg_largeobject_metadata LIMIT 6",
    message: (names) => `large objects are copied once and not followed: ${names}`,
    remedy: "do not write large objects between start and cutover, or migrate offline",
  },
];

/** What does not arrive, or not as it was, is said before anything is copied. */
export const objects: Rule = async ({ sources, wish, sourceVersion, targetSuperuser }) => {
  const findings: Finding[] = [];
  for (const [database, client] of sources)
    for (const check of checks) {
      if (check.onlineOnly && wish.migrationMode === "Offline") continue;
      if (check.superuserOnly && targetSuperuser) continue;
      if (sourceVersion < (check.from ?? 0)) continue;
      const names = await namesOf(client, check.query);
      if (names.length === 0) continue;
      findings.push({
        database,
        type: "SchemaValidation",
        state: check.state ?? "Warning",
        ...(check.code ? { code: check.code } : {}),
        object: names[0],
        objectType: "Database",
        message: check.message(names.slice(0, 5).join(", ") + (names.length > 5 ? ", ..." : "")),
        remedy: check.remedy,
      });
    }
  return findings;
};

async function namesOf(client: Client, query: string): Promise<string[]> {
  // A role that may not look into a catalogue (pg_subscription for ordinary roles) does not see what is in it.
  const { rows } = await client.query<{ name: string }>(query).catch((error: unknown) => {
    if ((error as { code?: string }).code === "42501") return { rows: [] };
    throw error;
  });
  return rows.map(({ name }) => name);
}
