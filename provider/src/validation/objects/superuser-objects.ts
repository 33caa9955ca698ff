import { notExtensionMember, userSchemas } from "../../postgres/catalogue-filters.js";
import { key, type ObjectCheck } from "./object-check.js";

/** A language created without an extension; plpgsql exists everywhere. */
const ownLanguage = `(l.oid >= 16384 AND l.lanname <> 'plpgsql' AND ${notExtensionMember("pg_language", "l.oid")})`;

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

/**
 * Publications FOR TABLES IN SCHEMA, from 15 on. Their catalogue is found by its name, because older servers lack it.
 */
const schemaPublications = `SELECT p2.pubname FROM pg_publication p2 JOIN pg_depend d ON d.refobjid = p2.oid
  AND d.refclassid = 'pg_publication'::regclass AND d.classid = to_regclass('pg_catalog.pg_publication_namespace')`;

/** Objects that only a superuser can create. They concern a target whose role is not a superuser. */
export const superuserObjects: readonly ObjectCheck[] = [
  {
    code: "PGM-407",
    query: `SELECT evtname AS name FROM pg_event_trigger e WHERE ${notExtensionMember("pg_event_trigger", "e.oid")}`,
    message: (names) => `event triggers require a superuser of the target, and are left out: ${names}`,
    remedy: "let a superuser create them on the target, or do without them",
  },
  {
    code: "PGM-408",
    from: 100000,
    query: `SELECT pubname AS name FROM pg_publication p
             WHERE pubname !~ '^pg_migration_' AND (puballtables OR pubname IN (${schemaPublications}))`,
    message: (names) =>
      `publications of all tables, or of schemas, require a superuser of the target, and are left out: ${names}`,
    remedy: "CREATE PUBLICATION ... FOR TABLE on the target, naming the tables",
  },
  {
    code: "603409",
    query: `SELECT format('%s AS %s', c.castsource::regtype, c.casttarget::regtype) AS name FROM pg_cast c
             WHERE c.oid >= 16384 AND ${notExtensionMember("pg_cast", "c.oid")}
               AND ${isForeignType("c.castsource")} AND ${isForeignType("c.casttarget")}`,
    message: (names) =>
      `casts between types of PostgreSQL or of an extension require a superuser of the target, and are left out: ${names}`,
    remedy: "write the conversion explicitly in queries that rely on it",
  },
  {
    code: "PGM-409",
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
    state: "Failed",
    query: `SELECT t.ftrelid::regclass::text AS name, ${key("pg_class", "t.ftrelid")} FROM pg_foreign_table t JOIN pg_foreign_server s ON s.oid = t.ftserver
              JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE ${notExtensionMember("pg_foreign_data_wrapper", "w.oid")}`,
    message: (names) => `these foreign tables use a wrapper that only a superuser of the target can create: ${names}`,
    remedy: "drop them on the source, or exclude them: exclude: { tables: [...] }",
  },
  {
    code: "603413",
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
    query: `SELECT quote_ident(l.lanname) AS name FROM pg_language l WHERE ${ownLanguage}`,
    message: (names) => `languages without an extension require a superuser of the target, and are left out: ${names}`,
    remedy: "create the language with its extension on the source, or rewrite its functions",
  },
  {
    code: "PGM-410",
    state: "Failed",
    query: `SELECT a.aggfnoid::regprocedure::text AS name, ${key("pg_proc", "p.oid")} FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid
             WHERE 'internal'::regtype IN (a.aggtranstype, a.aggmtranstype) AND p.oid >= 16384 AND ${notExtensionMember("pg_proc", "p.oid")}`,
    message: (names) => `aggregates with the state type internal require a superuser of the target: ${names}`,
    remedy: "change their state type, or drop them on the source",
  },
  {
    code: "PGM-411",
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
    query: `SELECT p.oid::regprocedure::text AS name, ${key("pg_proc", "p.oid")} FROM pg_proc p
             WHERE p.oid >= 16384 AND (p.proleakproof OR to_jsonb(p) ->> 'prosupport' <> '-') AND ${notExtensionMember("pg_proc", "p.oid")}`,
    message: (names) => `functions lose LEAKPROOF and SUPPORT on the target, where these require a superuser: ${names}`,
    remedy: "none needed for correct results: plans may use fewer indexes, and estimates of row counts may be worse",
  },
  {
    code: "603410",
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
];
