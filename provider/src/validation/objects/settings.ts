import type { Client } from "pg";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { isFence, readDatabaseProperties } from "../../schema/database/database.js";
import { isMigratedRole } from "../../schema/database/roles.js";
import { targetDatabase } from "../../inputs/target-database.js";
import type { Finding } from "../../findings.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";

/**
 * Settings of databases and functions that only a superuser of the target may set, or that would lock users out of the
 * target.
 */
export const settings: Rule = async ({ sources, target, targetVersion, targetSuperuser, spec }) => {
  const findings: Finding[] = [];
  const alterable = await alterableRoles(target, targetVersion);
  for (const [database, source] of sources) {
    const common = { database, type: "SchemaValidation", state: "Warning", objectType: "Database" } as const;
    const { settings: ofDatabase, connectionLimit } = await readDatabaseProperties(source);
    const name = quoteIdentifier(targetDatabase(spec, database));
    const closing = [
      ...(connectionLimit === 0 ? [`ALTER DATABASE ${name} CONNECTION LIMIT 0`] : []),
      ...(ofDatabase.some(isFence) ? [`ALTER DATABASE ${name} SET default_transaction_read_only = on`] : []),
    ];
    if (closing.length > 0 && !spec.dataOnly)
      findings.push({
        ...common,
        code: "PGM-436",
        object: database,
        message: `${database} is closed on the source, and will be open on the target, without: ${closing.join("; ")}`,
        remedy: "if the target should be closed, too, run this there after the migration",
      });
    if (targetSuperuser) continue;
    const ofFunctions = await functionSettings(source);
    const names = [...ofDatabase, ...ofFunctions].map(({ name }) => name);
    const refused = await refusedSettings(target, targetVersion, names);
    const left = ofDatabase
      .filter(({ name, role }) => refused.has(name) || !mayAlter(role, alterable, spec.migrateRoles))
      .map(({ name, role }) => (role === undefined ? name : `${name} of role ${role}`));
    if (left.length > 0)
      findings.push({
        ...common,
        code: "PGM-435",
        object: left[0],
        message: `settings in ${database} that ${spec.target.user} may not set on the target are left out: ${enumerate(left, 50)}`,
        remedy:
          "set them as server parameters of the target if they are needed, or with ALTER ROLE, which requires privileges",
      });
    const functions = ofFunctions.filter(({ name }) => refused.has(name));
    if (functions.length > 0)
      findings.push({
        ...common,
        code: "PGM-435",
        object: functions[0]!.signature,
        message: `settings of functions that only a superuser of the target may set are left out: ${enumerate(
          functions.map(({ signature, name }) => `${name} of ${signature}`),
          50,
        )}`,
        remedy: "set them as server parameters of the target if they are needed",
      });
  }
  return findings;
};

/** The target's roles, and whether this role may alter them. From 16 on this requires ADMIN OPTION on them. */
async function alterableRoles(target: Client, version: number): Promise<ReadonlyMap<string, boolean>> {
  const may = version >= 160000 ? "pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION')" : "NOT r.rolsuper";
  const { rows } = await target.query<{ name: string; may: boolean }>(
    `SELECT r.rolname AS name, (r.rolname = current_user OR me.rolcreaterole AND ${may}) AS may
       FROM pg_roles r JOIN pg_roles me ON me.rolname = current_user`,
  );
  return new Map(rows.map(({ name, may }) => [name, may]));
}

function mayAlter(role: string | undefined, alterable: ReadonlyMap<string, boolean>, migrateRoles: boolean): boolean {
  if (role === undefined) return true;
  return alterable.get(role) ?? (migrateRoles && isMigratedRole(role));
}

async function functionSettings(source: Client): Promise<{ name: string; signature: string }[]> {
  const { rows } = await source.query<{ name: string; signature: string }>(
    `SELECT split_part(setting, '=', 1) AS name, p.oid::regprocedure::text AS signature
       FROM pg_proc p CROSS JOIN LATERAL unnest(p.proconfig) AS setting
      WHERE p.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
      ORDER BY 2, 1`,
  );
  return rows;
}

/** An unknown parameter with a prefix requires a superuser (from 16 on). */
async function refusedSettings(
  target: Client,
  version: number,
  names: readonly string[],
): Promise<ReadonlySet<string>> {
  // GRANT SET ON PARAMETER exists from 15 on.
  const granted = version >= 150000 ? "has_parameter_privilege(wanted.name, 'SET')" : "false";
  const { rows } = await target.query<{ name: string }>(
    `SELECT wanted.name FROM unnest($1::text[]) AS wanted (name)
       LEFT JOIN pg_catalog.pg_settings s ON lower(s.name) = lower(wanted.name)
      WHERE wanted.name <> 'role' -- not in pg_settings, and allowed for every role
        AND coalesce(s.context, CASE WHEN ${version} >= 160000 THEN 'superuser' END) NOT IN ('user', 'backend')
        AND NOT ${granted}`,
    [[...new Set(names)]],
  );
  return new Set(rows.map(({ name }) => name));
}
