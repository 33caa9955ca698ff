import type { Client } from "pg";
import { progressTables } from "../../cdc/target/progress.js";
import { quoteLiteral } from "../../postgres/identifiers.js";
import { notExtensionMember, userSchemas } from "../../postgres/catalogue-filters.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { readSelection } from "../../schema/plan/selection.js";
import type { FindingCode } from "../../finding-codes/finding-code.js";
import type { Finding } from "../../findings.js";
import type { SourceRule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";

interface Check {
  readonly code: FindingCode;
  /** Returns names in a column `name` and, if a filter may exclude the object, its {@link catalogueKey} in `key`. */
  readonly query: string;
  readonly onlineOnly?: true;
  /** Concerns rows, not the schema. */
  readonly rowsOnly?: true;
  /** Concerns only a target whose role is not a superuser. */
  readonly superuserOnly?: true;
  /** The oldest source that has the catalogue. */
  readonly from?: number;
  /** The oldest target that refuses it. */
  readonly to?: number;
  readonly state?: "Failed";
  readonly message: (names: string) => string;
  readonly remedy: string;
}

const key = (catalogue: string, oid: string): string => `'${catalogue}'::regclass::oid || '/' || ${oid} AS key`;

/** A language created without an extension; plpgsql exists everywhere. */
const ownLanguage = `(l.oid >= 16384 AND l.lanname <> 'plpgsql' AND ${notExtensionMember("pg_language", "l.oid")})`;

const usersSchema = userSchemas("n");

const inCatalogue = (schema: string): string => `o.${schema} = 'pg_catalog'::regnamespace`;

/** Objects of PostgreSQL and of extensions. A dump contains their privileges if they were changed. */
const systemObjects = [
  {
    catalogue: "pg_class",
    acl: "relacl",
    kind: "table",
    name: "o.oid::regclass::text",
    own: inCatalogue("relnamespace"),
  },
  {
    catalogue: "pg_proc",
    acl: "proacl",
    kind: "function",
    name: "o.oid::regprocedure::text",
    own: inCatalogue("pronamespace"),
  },
  { catalogue: "pg_type", acl: "typacl", kind: "type", name: "o.oid::regtype::text", own: inCatalogue("typnamespace") },
  {
    catalogue: "pg_language",
    acl: "lanacl",
    kind: "language",
    name: "quote_ident(o.lanname)",
    own: "(o.lanname = 'plpgsql' OR o.oid < 16384)",
  },
  {
    catalogue: "pg_namespace",
    acl: "nspacl",
    kind: "schema",
    name: "quote_ident(o.nspname)",
    own: "o.nspname = 'pg_catalog'",
  },
] as const;

/** Types that do not belong to users. */
const isForeignType = (oid: string): string => `(${oid} < 16384 OR NOT ${notExtensionMember("pg_type", oid)})`;

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

/**
 * Publications FOR TABLES IN SCHEMA, from 15 on. Their catalogue is found by its name, because older servers lack it.
 */
const schemaPublications = `SELECT p2.pubname FROM pg_publication p2 JOIN pg_depend d ON d.refobjid = p2.oid
  AND d.refclassid = 'pg_publication'::regclass AND d.classid = to_regclass('pg_catalog.pg_publication_namespace')`;

/**
 * The types of hash partition keys, and the types inside them: elements, attributes, bounds, base types of domains. The
 * result type of an expression is in its node tree among the types of its parts; the operator class identifies it.
 */
const hashKeyTypes = `
  WITH RECURSIVE hash_key AS (
    SELECT p.partrelid AS relation, p.partexprs::text AS expressions, k.attribute, o.opcintype::regtype::text AS hashed
      FROM pg_partitioned_table p, unnest(p.partattrs::int2[], p.partclass::oid[]) AS k (attribute, class) JOIN pg_opclass o ON o.oid = k.class
     WHERE p.partstrat = 'h'
  ),
  key_type (relation, type) AS (
    SELECT k.relation, a.atttypid FROM hash_key k JOIN pg_attribute a ON a.attrelid = k.relation AND a.attnum = k.attribute
    UNION
    SELECT k.relation, t.oid FROM hash_key k, regexp_matches(k.expressions, ':\\w*type(?:id)? (\\d+)', 'g') AS m JOIN pg_type t ON t.oid = m[1]::oid
     WHERE k.attribute = 0
       AND CASE k.hashed WHEN 'anyenum' THEN t.typtype = 'e' WHEN 'anyarray' THEN t.typcategory = 'A' WHEN 'record' THEN t.typtype = 'c'
                         WHEN 'anyrange' THEN t.typtype = 'r' WHEN 'anymultirange' THEN t.typtype = 'm' WHEN 'oid' THEN t.typname ~ '^reg' END
    UNION
    SELECT k.relation, i.type FROM key_type k JOIN pg_type t ON t.oid = k.type, LATERAL (
      SELECT unnest(ARRAY[t.typbasetype, t.typelem])
      UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE t.oid IN (r.rngtypid, (to_jsonb(r) ->> 'rngmultitypid')::oid)
    ) AS i (type) WHERE i.type <> 0
  )`;

const checks: readonly Check[] = [
  {
    code: "603404",
    query: `SELECT format('%I.%I', n.nspname, c.relname) AS name, ${key("pg_class", "c.oid")} FROM pg_class c
              JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE (to_jsonb(c) ->> 'relhasoids')::bool AND c.relkind = 'r' AND ${userSchemas("n")}`,
    message: (names) =>
      `these tables were created WITH OIDS, which PostgreSQL 12 removed: ${names}; their oid column is not migrated`,
    remedy: "ALTER TABLE ... SET WITHOUT OIDS on the source, after copying what refers to the oids",
  },
  {
    code: "603404",
    state: "Failed",
    to: 120000,
    query: `SELECT pg_describe_object(d.classid, d.objid, 0) AS name, d.classid || '/' || d.objid AS key
              FROM pg_depend d JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
             WHERE d.refobjsubid = -2 AND (to_jsonb(c) ->> 'relhasoids')::bool`,
    message: (names) => `these need a table's oid column, which PostgreSQL 12 removed: ${names}`,
    remedy: "drop them on the source, or let them use another column of the table",
  },
  {
    code: "PGM-401",
    state: "Failed",
    to: 120000,
    query: `WITH RECURSIVE given_up (oid) AS (
              SELECT oid FROM pg_type WHERE typname IN ('abstime', 'reltime', 'tinterval') AND typnamespace = 'pg_catalog'::regnamespace
              UNION
              SELECT t.oid FROM pg_type t JOIN given_up g ON t.typbasetype = g.oid OR t.typelem = g.oid AND t.typcategory = 'A'
            )
            SELECT format('%I.%I.%I', n.nspname, c.relname, a.attname) AS name, ${key("pg_class", "c.oid")} FROM pg_attribute a
              JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE a.atttypid IN (SELECT oid FROM given_up) AND NOT a.attisdropped AND ${usersSchema}
            UNION ALL
            SELECT format('domain %I.%I', n.nspname, t.typname), ${key("pg_type", "t.oid")} FROM pg_type t
              JOIN pg_namespace n ON n.oid = t.typnamespace
             WHERE t.typtype = 'd' AND t.oid IN (SELECT oid FROM given_up) AND ${usersSchema}
            UNION ALL
            SELECT p.oid::regprocedure::text, ${key("pg_proc", "p.oid")} FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE ARRAY(SELECT oid FROM given_up) && (coalesce(p.proallargtypes, p.proargtypes::oid[]) || p.prorettype) AND ${usersSchema}`,
    message: (names) =>
      `these columns, domains and functions have a type that PostgreSQL 12 removed (abstime, reltime, tinterval): ${names}`,
    remedy:
      "change them to timestamptz or interval on the source (ALTER TABLE ... ALTER ... TYPE), or exclude the tables",
  },
  {
    code: "PGM-402",
    state: "Failed",
    to: 140000,
    query: `SELECT o.oid::regoperator::text AS name, ${key("pg_operator", "o.oid")} FROM pg_operator o
             WHERE o.oid >= 16384 AND o.oprkind = 'r' AND ${notExtensionMember("pg_operator", "o.oid")}`,
    message: (names) => `PostgreSQL 14 removed postfix operators: ${names}`,
    remedy: "drop them on the source, and call their functions instead",
  },
  {
    code: "PGM-403",
    state: "Failed",
    to: 140000,
    query: `WITH array_function AS (
              SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND 'anyarray'::regtype = ANY (proargtypes::oid[])
                 AND proname IN ('array_append', 'array_prepend', 'array_cat', 'array_position', 'array_positions', 'array_remove', 'array_replace', 'width_bucket')
            )
            SELECT a.aggfnoid::regprocedure::text AS name, ${key("pg_proc", "a.aggfnoid::oid")} FROM pg_aggregate a
             WHERE a.aggtranstype IN ('anyarray'::regtype, 'anyelement'::regtype) AND a.aggfnoid >= 16384
               AND (a.aggtransfn IN (SELECT oid FROM array_function) OR a.aggfinalfn IN (SELECT oid FROM array_function))
            UNION ALL
            SELECT o.oid::regoperator::text, ${key("pg_operator", "o.oid")} FROM pg_operator o
             WHERE o.oid >= 16384 AND o.oprcode IN (SELECT oid FROM array_function)
               AND ARRAY[o.oprleft, o.oprright] && ARRAY['anyarray'::regtype::oid, 'anyelement'::regtype]`,
    message: (names) =>
      `these use array functions with argument types that PostgreSQL 14 changed to anycompatiblearray and anycompatible: ${names}`,
    remedy: "drop them on the source, and create them on the target with the new types after the migration",
  },
  {
    code: "PGM-404",
    state: "Failed",
    rowsOnly: true,
    query: `SELECT format('%s.%I', c.oid::regclass, a.attname) AS name, ${key("pg_class", "c.oid")} FROM pg_inherits h
              JOIN pg_attribute p ON p.attrelid = h.inhparent AND p.attnotnull AND p.attnum > 0
              JOIN pg_attribute a ON a.attrelid = h.inhrelid AND a.attname = p.attname AND NOT a.attnotnull
              JOIN pg_class c ON c.oid = h.inhrelid AND c.relkind IN ('r', 'p', 'f')
             WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = p.attrelid AND k.contype = 'n'
                                  AND k.conkey = ARRAY[p.attnum] AND k.connoinherit)`,
    message: (names) =>
      `these columns may be null, although the inherited columns may not; the target makes them NOT NULL, and refuses rows: ${names}`,
    remedy: "on the source: UPDATE ... WHERE ... IS NULL, then ALTER TABLE ... ALTER ... SET NOT NULL",
  },
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
    code: "PGM-407",
    superuserOnly: true,
    query: `SELECT evtname AS name FROM pg_event_trigger e WHERE ${notExtensionMember("pg_event_trigger", "e.oid")}`,
    message: (names) => `event triggers require a superuser of the target, and are left out: ${names}`,
    remedy: "let a superuser create them on the target, or do without them",
  },
  {
    code: "PGM-408",
    superuserOnly: true,
    from: 100000,
    query: `SELECT pubname AS name FROM pg_publication p
             WHERE pubname !~ '^pg_migration_' AND (puballtables OR pubname IN (${schemaPublications}))`,
    message: (names) =>
      `publications of all tables, or of schemas, require a superuser of the target, and are left out: ${names}`,
    remedy: "CREATE PUBLICATION ... FOR TABLE on the target, naming the tables",
  },
  {
    code: "603409",
    superuserOnly: true,
    query: `SELECT format('%s AS %s', c.castsource::regtype, c.casttarget::regtype) AS name FROM pg_cast c
             WHERE c.oid >= 16384 AND ${notExtensionMember("pg_cast", "c.oid")}
               AND ${isForeignType("c.castsource")} AND ${isForeignType("c.casttarget")}`,
    message: (names) =>
      `casts between types of PostgreSQL or of an extension require a superuser of the target, and are left out: ${names}`,
    remedy: "write the conversion explicitly in queries that rely on it",
  },
  {
    code: "PGM-409",
    superuserOnly: true,
    query: `SELECT fdwname AS name FROM pg_foreign_data_wrapper w WHERE ${notExtensionMember("pg_foreign_data_wrapper", "w.oid")}
            UNION ALL
            SELECT format('server %I', s.srvname) FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
             WHERE ${notExtensionMember("pg_foreign_data_wrapper", "w.oid")}`,
    message: (names) =>
      `foreign-data wrappers require a superuser of the target, and are left out with their servers and user mappings: ${names}`,
    remedy: "use a wrapper of an extension that the target offers",
  },
  {
    code: "PGM-409",
    superuserOnly: true,
    state: "Failed",
    query: `SELECT t.ftrelid::regclass::text AS name, ${key("pg_class", "t.ftrelid")} FROM pg_foreign_table t JOIN pg_foreign_server s ON s.oid = t.ftserver
              JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE ${notExtensionMember("pg_foreign_data_wrapper", "w.oid")}`,
    message: (names) => `these foreign tables use a wrapper that only a superuser of the target can create: ${names}`,
    remedy: "drop them on the source, or exclude them: exclude: { tables: [...] }",
  },
  {
    code: "603413",
    superuserOnly: true,
    state: "Failed",
    query: `SELECT p.oid::regprocedure::text AS name, ${key("pg_proc", "p.oid")} FROM pg_proc p
              JOIN pg_language l ON l.oid = p.prolang JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE (NOT l.lanpltrusted OR ${ownLanguage}) AND ${userSchemas("n")}
               AND ${notExtensionMember("pg_proc", "p.oid")} AND NOT EXISTS (SELECT FROM pg_aggregate g WHERE g.aggfnoid = p.oid)
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                                  AND d.deptype = 'i')`,
    message: (names) =>
      `functions in C or another untrusted language, or in a language without an extension, require a superuser of the target: ${names}`,
    remedy: "rewrite them in a trusted language (plpgsql, sql), or drop them on the source",
  },
  {
    code: "603413",
    superuserOnly: true,
    query: `SELECT quote_ident(l.lanname) AS name FROM pg_language l WHERE ${ownLanguage}`,
    message: (names) => `languages without an extension require a superuser of the target, and are left out: ${names}`,
    remedy: "create the language with its extension on the source, or rewrite its functions",
  },
  {
    code: "PGM-410",
    superuserOnly: true,
    state: "Failed",
    query: `SELECT a.aggfnoid::regprocedure::text AS name, ${key("pg_proc", "p.oid")} FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid
             WHERE 'internal'::regtype IN (a.aggtranstype, a.aggmtranstype) AND p.oid >= 16384 AND ${notExtensionMember("pg_proc", "p.oid")}`,
    message: (names) => `aggregates with the state type internal require a superuser of the target: ${names}`,
    remedy: "change their state type, or drop them on the source",
  },
  {
    code: "PGM-411",
    superuserOnly: true,
    query: `SELECT format('operator class %I.%I', n.nspname, o.opcname) AS name FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace
             WHERE o.oid >= 16384 AND ${notExtensionMember("pg_opclass", "o.oid")}
            UNION ALL
            SELECT format('operator family %I.%I', n.nspname, o.opfname) FROM pg_opfamily o JOIN pg_namespace n ON n.oid = o.opfnamespace
             WHERE o.oid >= 16384 AND ${notExtensionMember("pg_opfamily", "o.oid")}
            UNION ALL
            SELECT format('text search template %I.%I', n.nspname, t.tmplname) FROM pg_ts_template t JOIN pg_namespace n ON n.oid = t.tmplnamespace
             WHERE t.oid >= 16384 AND ${notExtensionMember("pg_ts_template", "t.oid")}
            UNION ALL
            SELECT format('text search parser %I.%I', n.nspname, t.prsname) FROM pg_ts_parser t JOIN pg_namespace n ON n.oid = t.prsnamespace
             WHERE t.oid >= 16384 AND ${notExtensionMember("pg_ts_parser", "t.oid")}
            UNION ALL
            SELECT format('access method %I', a.amname) FROM pg_am a WHERE a.oid >= 16384 AND ${notExtensionMember("pg_am", "a.oid")}
            UNION ALL
            SELECT format('TRANSFORM FOR %s LANGUAGE %I', t.trftype::regtype, l.lanname) FROM pg_transform t
              JOIN pg_language l ON l.oid = t.trflang WHERE t.oid >= 16384 AND ${notExtensionMember("pg_transform", "t.oid")}
            UNION ALL
            SELECT format('type %I.%I, which was never defined', n.nspname, t.typname) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
             WHERE NOT t.typisdefined AND t.oid >= 16384`,
    message: (names) => `these require a superuser of the target, and are left out: ${names}`,
    remedy: "drop the objects that use them on the source, or exclude them",
  },
  {
    code: "PGM-411",
    superuserOnly: true,
    state: "Failed",
    query: `WITH left_out (classid, objid) AS (${[
      "pg_opclass",
      "pg_opfamily",
      "pg_ts_template",
      "pg_ts_parser",
      "pg_transform",
    ]
      .map(
        (catalogue) =>
          `SELECT '${catalogue}'::regclass::oid, o.oid FROM ${catalogue} o WHERE o.oid >= 16384 AND ${notExtensionMember(catalogue, "o.oid")}`,
      )
      .join(" UNION ALL ")})
            SELECT DISTINCT pg_describe_object(d.classid, d.objid, 0) AS name, d.classid || '/' || d.objid AS key
              FROM pg_depend d JOIN left_out l ON l.classid = d.refclassid AND l.objid = d.refobjid
             WHERE d.deptype = 'n' AND (d.classid, d.objid) NOT IN (SELECT classid, objid FROM left_out)
               AND d.classid NOT IN ('pg_amop'::regclass, 'pg_amproc'::regclass) ORDER BY 1`,
    message: (names) =>
      `these need operator classes, transforms, or text search parsers or templates that only a superuser of the target can create: ${names}`,
    remedy: "drop them on the source, exclude them, or let them use PostgreSQL's own",
  },
  {
    code: "PGM-412",
    superuserOnly: true,
    query: `SELECT p.oid::regprocedure::text AS name, ${key("pg_proc", "p.oid")} FROM pg_proc p
             WHERE p.oid >= 16384 AND (p.proleakproof OR to_jsonb(p) ->> 'prosupport' <> '-') AND ${notExtensionMember("pg_proc", "p.oid")}`,
    message: (names) => `functions lose LEAKPROOF and SUPPORT on the target, where these require a superuser: ${names}`,
    remedy: "none needed for correct results: plans may use fewer indexes, and estimates of row counts may be worse",
  },
  {
    code: "603410",
    superuserOnly: true,
    from: 90600,
    query: systemObjects
      .map(
        ({ catalogue, acl, kind, name, own }) =>
          `SELECT '${kind} ' || ${name} AS name FROM ${catalogue} o
             LEFT JOIN pg_init_privs i ON i.classoid = '${catalogue}'::regclass AND i.objoid = o.oid AND i.objsubid = 0
            WHERE o.${acl} IS DISTINCT FROM i.initprivs AND (${own} OR NOT ${notExtensionMember(catalogue, "o.oid")})`,
      )
      .join(" UNION ALL "),
    message: (names) => `changed privileges on objects of PostgreSQL or of an extension are not migrated: ${names}`,
    remedy: "let a superuser grant or revoke them on the target if they are needed",
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
    code: "PGM-418",
    rowsOnly: true,
    state: "Failed",
    from: 110000,
    query: `${hashKeyTypes}
            SELECT DISTINCT relation::regclass::text AS name, ${key("pg_class", "relation")} FROM key_type JOIN pg_type t ON t.oid = type
             WHERE t.typtype = 'e' OR t.typtype = 'b' AND t.typnamespace = 'pg_catalog'::regnamespace AND t.typname ~ '^reg' ORDER BY 1`,
    message: (names) =>
      `values that contain object identifiers (of an enum, or regtype, regclass, ...) have another hash on every server, so that rows do not fit the partitions of these tables: ${names}`,
    remedy: "partition them by list, or by the key's text, on the source; or exclude them and copy them with pg_dump",
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

/** Shows all names, except in databases with thousands of them. */
const maxNames = 100;

/** Reports objects that will be missing or different on the target, before the copy. */
export const objects: SourceRule = async ({ sources, spec, sourceVersion, targetVersion, targetSuperuser }) => {
  const findings: Finding[] = [];
  for (const [database, client] of sources) {
    const { cut } = await readSelection(client, spec);
    for (const check of checks) {
      if (check.onlineOnly && spec.migrationMode === "Offline") continue;
      if (check.rowsOnly && spec.schemaOnly) continue;
      if (check.superuserOnly && targetSuperuser) continue;
      if (sourceVersion < (check.from ?? 0) || targetVersion < (check.to ?? 0)) continue;
      const names = await namesOf(client, check.query, cut);
      if (names.length === 0) continue;
      findings.push({
        database,
        type: "SchemaValidation",
        state: check.state ?? "Warning",
        code: check.code,
        object: names[0],
        objectType: "Database",
        message: check.message(enumerate(names, maxNames)),
        remedy: check.remedy,
      });
    }
  }
  return findings;
};

async function namesOf(client: Client, query: string, cut: ReadonlySet<string>): Promise<string[]> {
  // A role without access to a catalogue (pg_subscription for ordinary roles) cannot read its objects.
  const { rows } = await client.query<{ name: string; key?: string }>(query).catch((error: unknown) => {
    if (sqlStateOf(error) === sqlStates.insufficientPrivilege) return { rows: [] };
    throw error;
  });
  return rows.filter((row) => row.key === undefined || !cut.has(row.key)).map(({ name }) => name);
}
