import type { Client } from "pg";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { isMigratedRole } from "../../schema/database/roles.js";
import type { Finding } from "../../findings.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";

interface UsedRole {
  readonly name: string;
  readonly owns: boolean;
}

/** Owners and grantees on the source that are missing on the target, or cannot own objects there. */
export const owners: Rule = async ({ sources, target, targetVersion, spec }) => {
  // From 16 on, membership and the right to SET ROLE are separate.
  const privilege = targetVersion >= 160000 ? "SET" : "MEMBER";
  const { rows } = await target.query<{ name: string; may: boolean }>(
    `SELECT rolname AS name, pg_has_role(oid, '${privilege}') AS may FROM pg_roles`,
  );
  const targetRoles = new Map(rows.map(({ name, may }) => [name, may]));
  const findings: Finding[] = [];
  for (const [database, client] of sources) {
    const common = { database, type: "SchemaValidation", state: "Warning", objectType: "Database" } as const;
    const used = await usedRoles(client);
    const missing = used
      .map(({ name }) => name)
      .filter((name) => !targetRoles.has(name) && !(spec.migrateRoles && isMigratedRole(name)));
    const policies = await policiesFor(client, missing);
    const without = policies.length === 0 ? "" : ` (policies: ${enumerate(policies, 50)})`;
    if (missing.length > 0)
      findings.push({
        ...common,
        code: "PGM-430",
        object: missing[0],
        message: `roles of ${database} that the target does not have: ${enumerate(missing, 50)}; ${spec.target.user} will own their objects, their privileges and policies are left out${without}`,
        remedy: `set migrateRoles to true, or on the target: ${missing
          .slice(0, 5)
          .map((name) => `CREATE ROLE ${quoteIdentifier(name)}`)
          .join("; ")}`,
      });
    const distant = used.filter(({ name, owns }) => owns && targetRoles.get(name) === false).map(({ name }) => name);
    if (distant.length > 0)
      findings.push({
        ...common,
        code: "PGM-431",
        object: distant[0],
        message: `${spec.target.user} may not act as ${enumerate(distant, 50)} on the target, so it will own their objects in ${database}, and their default privileges are left out`,
        remedy: `on the target, if it is allowed: GRANT ${distant.slice(0, 5).map(quoteIdentifier).join(", ")} TO ${quoteIdentifier(spec.target.user)}`,
      });
  }
  return findings;
};

/**
 * The bootstrap superuser has no dependencies, because it can never be dropped. Another owner of its objects on the
 * target is expected, except for default privileges.
 */
async function usedRoles(client: Client): Promise<UsedRole[]> {
  const { rows } = await client.query<UsedRole>(
    `SELECT r.rolname AS name, bool_or(s.deptype = 'o' OR s.classid = 'pg_default_acl'::regclass) AS owns
       FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
      WHERE s.refclassid = 'pg_authid'::regclass AND r.rolname !~ '^pg_'
        AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
      GROUP BY r.rolname
     UNION
     SELECT r.rolname, true FROM pg_roles r WHERE r.oid = 10 AND EXISTS (SELECT FROM pg_default_acl WHERE defaclrole = 10)
      ORDER BY 1`,
  );
  return rows;
}

/** Policies that apply only to these roles cannot be created without them. */
async function policiesFor(client: Client, roles: readonly string[]): Promise<string[]> {
  if (roles.length === 0) return [];
  const { rows } = await client.query<{ name: string }>(
    `SELECT format('%I on %I.%I', policyname, schemaname, tablename) AS name FROM pg_policies
      WHERE roles <@ $1::name[] ORDER BY 1`,
    [roles],
  );
  return rows.map(({ name }) => name);
}
