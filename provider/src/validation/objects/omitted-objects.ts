import { notExtensionMember, userSchemas } from "../../postgres/catalogue-filters.js";
import { progressTables } from "../../cdc/target/progress.js";
import { quoteLiteral } from "../../postgres/identifiers.js";
import { key, type ObjectCheck } from "./object-check.js";

/** Objects that users created in PostgreSQL's own schemas, which pg_dump ignores. */
const insideSystemSchemas = `
  WITH system_schema AS (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema') AND oid < 16384),
  made (classid, objid) AS (
    SELECT 'pg_class'::regclass::oid, c.oid FROM pg_class c WHERE c.relnamespace IN (SELECT oid FROM system_schema)
       AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE pronamespace IN (SELECT oid FROM system_schema)
    UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator WHERE oprnamespace IN (SELECT oid FROM system_schema)
    UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type t WHERE t.typnamespace IN (SELECT oid FROM system_schema)
                 AND t.typrelid = 0 AND NOT (t.typelem <> 0 AND t.typcategory = 'A')
  )
  SELECT pg_describe_object(classid, objid, 0) AS name FROM made
   WHERE objid >= 16384
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = made.classid AND d.objid = made.objid AND d.deptype IN ('e', 'i'))
     AND`;

const usedOutside = `EXISTS (
       SELECT FROM pg_depend d LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
        WHERE d.refclassid = made.classid AND d.refobjid = made.objid AND d.deptype = 'n'
          AND (d.classid, d.objid) NOT IN (SELECT classid, objid FROM made)
          AND (w.oid IS NULL OR w.ev_class NOT IN (SELECT objid FROM made)))`;

/** Objects and changes that the migration leaves out. */
export const omittedObjects: readonly ObjectCheck[] = [
  {
    code: "PGM-405",
    query: `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_index x
              JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE NOT x.indisvalid AND c.relkind = 'i' AND ${userSchemas("n")}`,
    message: (names) => `invalid indexes, left by a failed CREATE INDEX CONCURRENTLY, are not migrated: ${names}`,
    remedy: "on the source, REINDEX INDEX CONCURRENTLY if an index is needed, otherwise DROP INDEX",
  },
  {
    code: "PGM-406",
    from: 100000,
    query:
      "SELECT subname AS name FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
    message: (names) =>
      `subscriptions are not migrated, because they would receive changes from their publisher twice: ${names}`,
    remedy: "create them on the target with CREATE SUBSCRIPTION after the cutover, and drop them on the source",
  },
  {
    code: "PGM-413",
    query: "SELECT DISTINCT format('%s on %s %s', provider, objtype, objname) AS name FROM pg_seclabels ORDER BY 1",
    message: (names) => `security labels are migrated only if the target has loaded their provider: ${names}`,
    remedy: "load the provider on the target (shared_preload_libraries), or do without the labels",
  },
  {
    code: "PGM-414",
    query: `SELECT spcname AS name FROM pg_tablespace t WHERE spcname NOT IN ('pg_default', 'pg_global')
               AND (EXISTS (SELECT FROM pg_class c WHERE c.reltablespace = t.oid)
                    OR EXISTS (SELECT FROM pg_database d WHERE d.dattablespace = t.oid AND d.datname = current_database()))`,
    message: (names) =>
      `objects in the tablespaces ${names} are created in the target's default tablespace if the target lacks theirs`,
    remedy: "none needed on a managed server, which has a single storage",
  },
  {
    code: "PGM-415",
    query: `${insideSystemSchemas} NOT ${usedOutside}`,
    message: (names) => `objects in pg_catalog or information_schema are not in any dump, and not migrated: ${names}`,
    remedy: "if they are needed, move them to another schema on the source (ALTER ... SET SCHEMA)",
  },
  {
    code: "PGM-415",
    state: "Failed",
    query: `${insideSystemSchemas} ${usedOutside}`,
    message: (names) =>
      `these objects are in pg_catalog or information_schema, which pg_dump ignores, and other objects need them: ${names}`,
    remedy: "move them to another schema on the source: ALTER ... SET SCHEMA",
  },
  {
    code: "PGM-416",
    state: "Failed",
    query: `SELECT pg_describe_object(d.classid, d.objid, 0) AS name, d.classid || '/' || d.objid AS key
              FROM pg_depend d JOIN pg_namespace n ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
             WHERE n.nspname = 'pgmigration' AND d.deptype = 'n' AND NOT EXISTS (
                     SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                      WHERE c.relnamespace = n.oid AND c.relname = 'progress' AND a.attname = 'applied_through_lsn'
                        AND (d.classid, d.objid) IN (SELECT 'pg_class'::regclass, oid FROM pg_class WHERE relname IN (${progressTables.map(quoteLiteral).join(", ")})))`,
    message: (names) =>
      `a migration keeps its records in the schema pgmigration, and leaves out other objects in it: ${names}`,
    remedy:
      'rename the schema on the source (ALTER SCHEMA pgmigration RENAME TO ...), or exclude it: exclude: { schemas: ["pgmigration"] }',
  },
  {
    code: "PGM-417",
    rowsOnly: true,
    // OFFSET 0 prevents pg_relation_size, which waits for a table's lock, from being called for all tables.
    query: `SELECT c.oid::regclass::text AS name, ${key("pg_class", "c.oid")}
              FROM (SELECT oid FROM pg_class c WHERE relkind = 'r' AND NOT ${notExtensionMember("pg_class", "c.oid")}
                       AND NOT EXISTS (SELECT FROM pg_extension e WHERE c.oid = ANY (e.extconfig)) OFFSET 0) AS c
             WHERE pg_relation_size(c.oid) > 0`,
    message: (names) =>
      `tables of extensions get only the rows that CREATE EXTENSION inserts; their other rows are not migrated: ${names}`,
    remedy:
      "if a table is your own, run ALTER EXTENSION ... DROP TABLE on the source; otherwise copy its rows after the migration",
  },
  {
    code: "PGM-208",
    rowsOnly: true,
    query:
      "SELECT quote_literal(gid) AS name FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared",
    message: (names) => `prepared transactions are open, and their changes are not in the copy: ${names}`,
    remedy: "COMMIT PREPARED or ROLLBACK PREPARED on the source before the copy starts",
  },
  {
    code: "PGM-207",
    onlineOnly: true,
    query: "SELECT 'large object ' || oid AS name FROM pg_largeobject_metadata LIMIT 6",
    message: (names) => `large objects are copied once, and their changes are not replicated: ${names}`,
    remedy: "do not write large objects between start and cutover, or migrate offline",
  },
];
