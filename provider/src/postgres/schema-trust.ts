import type { Client } from "pg";
import { RefusedError } from "../errors.js";

/** The schema of the records, on the target, and of the progress, in each migrated database. */
export const controlSchema = "pgmigration";

/**
 * SQL that creates the control schema. Default privileges of this role must not let other roles use a new schema. A role that may
 * write the records chooses the statements that workers run. Privileges that were granted since then are kept.
 */
export const createControlSchema = `
CREATE SCHEMA IF NOT EXISTS ${controlSchema};
DO $$
DECLARE grantee text;
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = '${controlSchema}'::pg_catalog.regnamespace) THEN RETURN; END IF;
  FOR grantee IN
    SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(r.rolname) END
      FROM pg_catalog.pg_namespace n CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) AS a
      LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
     WHERE n.nspname = '${controlSchema}' AND a.grantor = n.nspowner AND a.grantee <> n.nspowner AND r.rolname IS DISTINCT FROM current_user
  LOOP
    EXECUTE 'REVOKE ALL ON SCHEMA ${controlSchema} FROM ' || grantee;
  END LOOP;
END $$`;

/**
 * SQL of the set `trusted (oid)` for WITH RECURSIVE: roles whose objects may run with this role's privileges, because they have
 * them anyway. These are this role, the roles whose privileges it inherits, and superusers. pg_has_role would return true to a
 * superuser for every role.
 */
export const trustedRoles = `
  own AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user
    UNION
    SELECT m.roleid FROM own JOIN pg_catalog.pg_auth_members m ON m.member = own.oid
     -- From 16 on a role may administer another one without its privileges.
     WHERE coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, true)
  ),
  trusted AS (SELECT oid FROM own UNION SELECT oid FROM pg_catalog.pg_roles WHERE rolsuper)`;

/** SQL condition: a role is one of {@link trustedRoles}. */
export const isTrusted = (role: string): string => `${role} IN (SELECT oid FROM trusted)`;

/** The text of a definition that calls a function. */
const callsFunction = (definition: string): string => `${definition} ~ '[[:alnum:]_"]\\('`;

/** The defaults of the control schema: constants, and the current time. */
const knownDefault = "^(clock_timestamp\\(\\)|''[^'']*''::text(\\[\\])?|[0-9]+|true|false)$";

/** Objects in the control schema that this package did not create, each as one sentence. Reads only the catalogue. */
const query = `
  WITH RECURSIVE ${trustedRoles}, relation AS (
    SELECT c.oid, c.relname, c.relkind, c.relowner, c.relrowsecurity, n.oid AS schema
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = '${controlSchema}'
  )
  SELECT format('the database belongs to %I', pg_catalog.pg_get_userbyid(datdba)) AS finding
    FROM pg_catalog.pg_database
   WHERE datname = '${controlSchema}' AND datname = current_database() AND NOT ${isTrusted("datdba")}
  UNION ALL
  SELECT format('the schema belongs to %I', pg_catalog.pg_get_userbyid(nspowner))
    FROM pg_catalog.pg_namespace WHERE nspname = '${controlSchema}' AND NOT ${isTrusted("nspowner")}
  UNION ALL
  SELECT format('%I belongs to %I', relname, pg_catalog.pg_get_userbyid(relowner)) FROM relation
   WHERE relkind <> 'i' AND NOT ${isTrusted("relowner")}
  UNION ALL
  SELECT format('%I is not a plain table', relname) FROM relation WHERE relkind NOT IN ('r', 'i', 'S', 't')
  UNION ALL
  SELECT format('%I has row-level security', relname) FROM relation WHERE relrowsecurity
  UNION ALL
  SELECT format('%I has the trigger %I', relname, tgname)
    FROM relation JOIN pg_catalog.pg_trigger ON tgrelid = relation.oid WHERE NOT tgisinternal
  UNION ALL
  SELECT format('%I has the rule %I', relname, rulename)
    FROM relation JOIN pg_catalog.pg_rewrite ON ev_class = relation.oid WHERE relkind = 'r'
  UNION ALL
  SELECT format('%I has the policy %I', relname, polname)
    FROM relation JOIN pg_catalog.pg_policy ON polrelid = relation.oid
  UNION ALL
  SELECT format('%I.%I has the default %s', relname, attname, pg_catalog.pg_get_expr(adbin, adrelid))
    FROM relation JOIN pg_catalog.pg_attrdef ON adrelid = relation.oid
    JOIN pg_catalog.pg_attribute ON attrelid = adrelid AND attnum = adnum
   WHERE pg_catalog.pg_get_expr(adbin, adrelid) !~ '${knownDefault}'
  UNION ALL
  SELECT format('%I has the constraint %I', relname, conname)
    FROM relation JOIN pg_catalog.pg_constraint ON conrelid = relation.oid
   WHERE contype = 'c' AND ${callsFunction("pg_catalog.pg_get_constraintdef(pg_constraint.oid)")}
  UNION ALL
  SELECT format('%I is an index that calls a function', relname)
    FROM relation WHERE relkind = 'i' AND ${callsFunction("pg_catalog.pg_get_indexdef(oid)")}
  UNION ALL
  SELECT format('%I.%I has the type %s', relname, attname, pg_catalog.format_type(atttypid, NULL))
    FROM relation JOIN pg_catalog.pg_attribute ON attrelid = relation.oid
    JOIN pg_catalog.pg_type t ON t.oid = atttypid
   WHERE relkind = 'r' AND t.typnamespace <> 'pg_catalog'::regnamespace
  UNION ALL
  SELECT format('the function %I is in it', proname)
    FROM pg_catalog.pg_proc WHERE pronamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = '${controlSchema}')`;

/**
 * Checks the owners of the records. The owner of their tables, or of a trigger on them, could run code with the
 * privileges of each role that migrates. Call it each time before the records are used. Without such a schema, it does
 * nothing.
 *
 * @throws RefusedError when another role owns the schema, its database or its tables, or when they run code
 */
export async function refuseUntrustedSchema(client: Client): Promise<void> {
  const { rows } = await client.query<{ finding: string }>(query);
  if (rows.length === 0) return;
  const { rows: where } = await client.query<{ database: string }>("SELECT current_database() AS database");
  const findings = rows.slice(0, 5).map(({ finding }) => finding);
  throw new RefusedError(
    `the schema ${controlSchema} in the database ${where[0]!.database} of ${client.host}:${client.port}, which contains records of migrations, is not safe to use: ${findings.join("; ")}`,
    {
      remedy:
        `find out who created it. If that role may act for ${client.user}, GRANT it to ${client.user}, or migrate with it; ` +
        `otherwise let its owner remove it, or, in the maintenance database, set another maintenanceDatabase`,
    },
  );
}
