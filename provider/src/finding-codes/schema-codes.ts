import type { Catalogue } from "./catalogue-entry.js";

/** PGM-4xx: objects that will be missing or different on the target. */
export const schemaCodes = {
  "PGM-401": {
    meaning: "columns, domains or functions have a type that PostgreSQL 12 removed (abstime, reltime, tinterval)",
    severity: "Failed",
    remedy: "change them to timestamptz or interval on the source, or exclude the tables",
  },
  "PGM-402": {
    meaning: "postfix operators, which PostgreSQL 14 removed",
    severity: "Failed",
    remedy: "drop them on the source, and call their functions instead",
  },
  "PGM-403": {
    meaning: "aggregates or operators use array functions whose argument types PostgreSQL 14 changed",
    severity: "Failed",
    remedy: "drop them on the source, and create them on the target with the new types",
  },
  "PGM-404": {
    meaning: "columns of child tables may be null, although the inherited columns may not",
    severity: "Failed",
    remedy: "on the source: correct the rows, then ALTER TABLE ... ALTER ... SET NOT NULL",
  },
  "PGM-405": {
    meaning: "invalid indexes are not migrated",
    severity: "Warning",
    remedy: "REINDEX INDEX CONCURRENTLY or DROP INDEX on the source",
    omits: true,
  },
  "PGM-406": {
    meaning: "subscriptions are not migrated",
    severity: "Warning",
    remedy: "CREATE SUBSCRIPTION on the target after the cutover, and drop them on the source",
    privilege: "superuser or pg_create_subscription on the target",
    omits: true,
  },
  "PGM-407": {
    meaning: "event triggers require a superuser of the target, and are left out",
    severity: "Warning",
    remedy: "let a superuser create them on the target, or do without them",
    privilege: "superuser of the target",
    omits: true,
  },
  "PGM-408": {
    meaning: "publications of all tables, or of schemas, require a superuser of the target, and are left out",
    severity: "Warning",
    remedy: "CREATE PUBLICATION ... FOR TABLE on the target, naming the tables",
    omits: true,
  },
  "PGM-409": {
    meaning: "foreign-data wrappers without an extension require a superuser of the target",
    severity: "Warning or Failed",
    remedy: "use a wrapper of an extension that the target offers, or exclude the foreign tables",
    privilege: "superuser of the target",
  },
  "PGM-410": {
    meaning: "aggregates with the state type internal require a superuser of the target",
    severity: "Failed",
    remedy: "change their state type, or drop them on the source",
    privilege: "superuser of the target",
  },
  "PGM-411": {
    meaning:
      "operator classes, text search parsers, access methods and similar objects require a superuser of the target",
    severity: "Warning or Failed",
    remedy: "drop the objects that use them on the source, or exclude them",
    privilege: "superuser of the target",
  },
  "PGM-412": {
    meaning: "functions lose LEAKPROOF and SUPPORT on the target",
    severity: "Warning",
    remedy: "none needed for correct results",
    privilege: "superuser of the target",
  },
  "PGM-413": {
    meaning: "security labels are migrated only if the target has loaded their provider",
    severity: "Warning",
    remedy: "load the provider on the target (shared_preload_libraries), or do without the labels",
    omits: true,
  },
  "PGM-414": {
    meaning: "objects are created in the target's default tablespace or table access method",
    severity: "Warning",
    remedy: "none needed on a managed server, which has a single storage",
  },
  "PGM-415": {
    meaning: "users created objects in pg_catalog or information_schema, which no dump contains",
    severity: "Warning or Failed",
    remedy: "move them to another schema on the source: ALTER ... SET SCHEMA",
    omits: true,
  },
  "PGM-416": {
    meaning: "the schema pgmigration, which contains a migration's records, has other objects on the source",
    severity: "Failed",
    remedy: "rename the schema on the source, or exclude it",
  },
  "PGM-417": {
    meaning: "rows in tables of extensions are not migrated",
    severity: "Warning",
    remedy: "ALTER EXTENSION ... DROP TABLE on the source if a table is your own, or copy its rows afterwards",
    omits: true,
  },
  "PGM-418": {
    meaning: "hash partitions by an enum or object identifier have other partitions on every server",
    severity: "Failed",
    remedy: "partition by list, or by the key's text, on the source; or exclude the tables",
  },
  "PGM-419": {
    meaning: "a filter leaves out objects that others need",
    severity: "Warning or Failed",
    remedy: "include the objects that they use, or exclude them by name",
  },
  "PGM-420": {
    meaning: "objects use columns, functions or operators that the target's version of PostgreSQL lacks",
    severity: "Failed",
    remedy: "exclude or drop them, and create them on the target in a form for its version",
  },
  "PGM-421": {
    meaning: "rows contain names of objects (regclass and similar types) that the target lacks when it reads them",
    severity: "Warning or Failed",
    remedy: "make the column text on the source, or correct these rows",
  },
  "PGM-422": {
    meaning: "a materialized view stays empty, because its query fails, or its owner may not read what it reads",
    severity: "Warning",
    remedy: "correct the cause, then REFRESH MATERIALIZED VIEW on the target",
    omits: true,
  },
  "PGM-423": {
    meaning: "stored generated columns differ from their expressions, and the target computes them again",
    severity: "Warning or Failed",
    remedy: "let the source compute them again, with the UPDATE in the finding",
  },
  "PGM-424": {
    meaning:
      "columns, views, indexes or checks are evaluated again on the target, and could not be tested on the source",
    severity: "Warning",
    remedy: "test them on the source as their owners",
  },
  "PGM-425": {
    meaning: "indexes cannot be rebuilt, because their functions fail for current rows",
    severity: "Failed",
    remedy: "correct rows or functions until REINDEX INDEX succeeds on the source, or drop the index",
  },
  "PGM-426": {
    meaning: "a constraint is NOT VALID on the target, because rows violate it",
    severity: "Warning",
    remedy: "correct the rows on both servers, then VALIDATE CONSTRAINT on the target",
  },
  "PGM-427": {
    meaning: "an extension is created in another version than the source has",
    severity: "Warning",
    remedy: "check the extension's release notes",
  },
  "PGM-428": {
    meaning: "objects belong to an extension on the source, but not on the target",
    severity: "Warning or Failed",
    remedy: "ALTER EXTENSION ... DROP ... on the source if they are your own",
    privilege: "ownership of the extension on the source",
  },
  "PGM-429": {
    meaning: "only a superuser of the target can create an extension",
    severity: "Warning or Failed",
    remedy: "let a superuser create it on the target, or exclude it",
    privilege: "superuser of the target",
  },
  "PGM-430": {
    meaning: "roles are missing on the target, so objects have another owner and privileges are left out",
    severity: "Warning",
    remedy: "set migrateRoles to true, or CREATE ROLE on the target",
    privilege: "CREATEROLE on the target",
    omits: true,
  },
  "PGM-431": {
    meaning:
      "the target's role may not act as an owner, so that it owns the objects itself; privileges on views are left out",
    severity: "Warning",
    remedy: "GRANT <owner> TO <role> on the target",
    privilege: "ADMIN OPTION on the owner",
  },
  "PGM-432": {
    meaning: "a policy is left out or has fewer roles, because the target lacks them",
    severity: "Warning",
    remedy: "CREATE ROLE on the target, then create the policy",
    omits: true,
  },
  "PGM-433": {
    meaning: "the target refuses an object, or an object that it belongs to",
    severity: "Warning or Failed",
    remedy: "correct the object on the source, or exclude it",
    omits: true,
  },
  "PGM-434": {
    meaning: "the restore of the schema was not tried in a temporary database",
    severity: "Warning",
    remedy: "see the finding for the cause",
  },
  "PGM-435": {
    meaning: "settings, comments or privileges of databases or functions are left out",
    severity: "Warning",
    remedy:
      "set them as server parameters of the target, or with the statement in the finding and the source's value in place of '<hidden value>'",
    privilege: "superuser of the target, or the service's server parameters",
    omits: true,
  },
  "PGM-436": {
    meaning: "a database is closed to applications on the source, and will be open on the target",
    severity: "Warning",
    remedy: "run the statement in the finding on the target if it should be closed, too",
  },
  "PGM-437": {
    meaning: "a database has the encoding SQL_ASCII, whose bytes are copied unchanged",
    severity: "Warning",
    remedy: "none needed for the migration",
  },
  "PGM-438": {
    meaning: "names or texts in the schema are not valid UTF-8",
    severity: "Failed",
    remedy: "rename or correct them on the source",
  },
  "PGM-439": {
    meaning: "ANALYZE failed on the target",
    severity: "Warning",
    remedy: "correct the cause, then ANALYZE on the target",
  },
  "PGM-440": {
    meaning:
      "an object differs in definition, owner, privileges, comment or settings, or only the target has it, or locks of other sessions prevented the comparison",
    severity: "Warning",
    remedy: "ALTER the object on the target if the difference matters",
  },
  "PGM-441": {
    meaning: "an object is created in another form, because the target does not know or allow an option of it",
    severity: "Warning",
    remedy: "see the finding for the option, and whether results differ",
    privilege: "superuser of the target",
  },
  "PGM-442": {
    meaning: "pg_cron or pg_partman has jobs on the source",
    severity: "Warning",
    remedy: "keep jobs off on the target until the cutover, and schedule missing ones there",
    privilege: "the role of pg_cron's jobs, or azure_pg_admin",
    omits: true,
  },
  "PGM-443": {
    meaning: "hypertables of TimescaleDB cannot be restored",
    severity: "Failed",
    remedy: "exclude them and the extension, and migrate them with TimescaleDB's own tools",
  },
  "PGM-444": {
    meaning: "distributed tables of Citus: no common snapshot, and online no changes in the coordinator's WAL",
    severity: "Warning or Failed",
    remedy: "migrate offline while applications are stopped, or SELECT undistribute_table('<table>')",
    privilege: "ownership of the tables on the source",
  },
  "PGM-445": {
    meaning: "columns have built-in types of a fork, such as EDB Postgres Advanced Server",
    severity: "Failed",
    remedy: "change them to types of PostgreSQL on the source, or exclude the tables",
    privilege: "ownership of the tables on the source",
  },
  "PGM-446": {
    meaning: "the options of user mappings, such as passwords, cannot be read",
    severity: "Warning",
    remedy: "ALTER USER MAPPING ... OPTIONS on the target, or connect to the source as a superuser",
    privilege: "superuser of the source, or ownership of the foreign server",
    omits: true,
  },
  "PGM-447": {
    meaning: "extensions of Azure's service (azure, pgaadauth) are left out",
    severity: "Warning",
    remedy: "none needed",
    omits: true,
  },
  "PGM-448": {
    meaning: "packages of EDB Postgres Advanced Server, which PostgreSQL does not have",
    severity: "Warning",
    remedy: "create a schema with functions and procedures on the target in place of each package",
    privilege: "CREATE on the database of the target",
    omits: true,
  },
} as const satisfies Catalogue;
