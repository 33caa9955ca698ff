import { notExtensionMember, userSchemas } from "../../postgres/catalogue-filters.js";
import { key, type ObjectCheck } from "./object-check.js";

const usersSchema = userSchemas("n");

/** Objects that need what a version of PostgreSQL removed. */
export const removedFeatures: readonly ObjectCheck[] = [
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
];
