import type { Client } from "pg";
import { serverVersion } from "../postgres/server-version.js";

/**
 * OIDs of tables whose rows need functions that may read other tables: functions of generated columns, and of domains
 * inside arrays and composite types. The server calls them during the copy, so that these tables are copied last.
 *
 * @param source a session on the source
 */
export async function tablesWithCrossTableFunctions(source: Client): Promise<ReadonlySet<number>> {
  const { rows } = await source.query<{ table: number }>(query(await serverVersion(source)));
  return new Set(rows.map(({ table }) => table));
}

function query(version: number): string {
  const generated = version >= 120000 ? "a.attgenerated = 's'" : "false";
  return `
WITH RECURSIVE generated AS (
  SELECT f.oid, f.adrelid, f.adnum FROM pg_attrdef f JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND ${generated}
), expression (table_oid, domain, classid, objid, objsubid) AS (
  SELECT adrelid, 0, 'pg_attrdef'::regclass::oid, oid, 0 FROM generated
  UNION ALL
  -- Before 15 the column itself depends on the functions of its expression.
  SELECT adrelid, 0, 'pg_class'::regclass, adrelid, adnum FROM generated
  UNION ALL
  SELECT 0, k.contypid, 'pg_constraint'::regclass, k.oid, 0 FROM pg_constraint k WHERE k.contypid >= 16384
), calls (table_oid, domain, routine) AS (
  SELECT * FROM (
    SELECT e.table_oid, e.domain, coalesce(o.oprcode::oid, d.refobjid)
      FROM expression e JOIN pg_depend d ON d.classid = e.classid AND d.objid = e.objid AND d.objsubid = e.objsubid
      LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
     WHERE d.refclassid = 'pg_proc'::regclass OR o.oid IS NOT NULL) AS direct
  UNION
  -- Catalogues do not record the calls of a function's body, so that any occurrence of a name counts.
  SELECT c.table_oid, c.domain, callee.oid FROM calls c JOIN pg_proc caller ON caller.oid = c.routine
    JOIN pg_proc callee ON callee.oid >= 16384
     AND (strpos(caller.prosrc, callee.proname) > 0
          OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = caller.oid
                        AND d.refclassid = 'pg_proc'::regclass AND d.refobjid = callee.oid))
), looking AS (
  SELECT DISTINCT c.table_oid, c.domain FROM calls c JOIN pg_proc p ON p.oid = c.routine JOIN pg_language l ON l.oid = p.prolang
   WHERE p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal')
     AND (p.prosrc ~* '\\m(from|perform|execute|into)\\M'
          OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                        AND d.refclassid = 'pg_class'::regclass))
), holder (classid, objid) AS (
  SELECT 'pg_type'::regclass::oid, domain FROM looking WHERE domain <> 0
  UNION
  SELECT d.classid, d.objid FROM holder h JOIN pg_depend d ON d.refclassid = h.classid AND d.refobjid = h.objid
   WHERE d.classid IN ('pg_type'::regclass, 'pg_class'::regclass)
)
SELECT c.oid::int8::float8 AS table FROM pg_class c
 WHERE c.relkind = 'r'
   AND (c.oid IN (SELECT objid FROM holder WHERE classid = 'pg_class'::regclass)
        OR c.oid IN (SELECT table_oid FROM looking))`;
}
