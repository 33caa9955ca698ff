import type { Client } from "pg";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { sourceDatabase, targetDatabase } from "../../inputs/target-database.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import type { Finding } from "../../findings.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";

const common = { type: "AuthenticationAndConnectivityValidation", objectType: "Instance" } as const;

/** 603111, 603115, 603116: the target's role has the privileges of Azure's documentation, as far as they are used. */
export const targetPrivileges: Rule = async ({ target, targetSuperuser, spec }) => {
  if (targetSuperuser) return [];
  return [
    ...(await sessionsOfOthers(target, spec)),
    ...(await azureAdministrator(target, spec.target.user)),
    ...(await mayCreateRoles(target, spec)),
  ];
};

/** An existing database is dropped with its sessions. */
async function sessionsOfOthers(target: Client, spec: MigrationSpec): Promise<Finding[]> {
  if (!spec.overwriteDbsInTarget || spec.dataOnly) return [];
  const { rows } = await target.query<{ database: string; roles: string[] }>(
    `SELECT a.datname AS database, array_agg(DISTINCT r.rolname::text) AS roles
       FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
      WHERE a.datname = ANY ($1) AND NOT r.rolsuper AND NOT pg_has_role(r.oid, 'USAGE')
        AND NOT pg_has_role('pg_signal_backend', 'USAGE')
      GROUP BY 1 ORDER BY 1`,
    [spec.dbsToMigrate.map((database) => targetDatabase(spec, database))],
  );
  return rows.map(({ database, roles }) => ({
    ...{ ...common, database: sourceDatabase(spec, database), objectType: "Database", object: database },
    ...{ state: "Failed", code: "603111" },
    message: `${spec.target.user} may not terminate the sessions of ${enumerate(roles)} in ${database} on the target, which is to be replaced`,
    remedy: `GRANT pg_signal_backend TO ${quoteIdentifier(spec.target.user)} on the target, or end these sessions`,
  }));
}

/** Outside of Azure the role azure_pg_admin does not exist. */
async function azureAdministrator(target: Client, user: string): Promise<Finding[]> {
  const { rowCount } = await target.query(
    "SELECT FROM pg_roles WHERE rolname = 'azure_pg_admin' AND NOT pg_has_role(oid, 'MEMBER')",
  );
  if (rowCount === 0) return [];
  return [
    {
      ...{ ...common, object: user, state: "Warning", code: "603115" },
      message: `${user} is not a member of azure_pg_admin on the target, so it may not create extensions`,
      remedy: `as the server's administrator: GRANT azure_pg_admin TO ${quoteIdentifier(user)}`,
    },
  ];
}

async function mayCreateRoles(target: Client, { migrateRoles, target: { user } }: MigrationSpec): Promise<Finding[]> {
  if (!migrateRoles) return [];
  const { rowCount } = await target.query("SELECT FROM pg_roles WHERE rolname = current_user AND rolcreaterole");
  if (rowCount !== 0) return [];
  return [
    {
      ...{ ...common, object: user, state: "Failed", code: "603116" },
      message: `${user} may not create roles on the target, which migrateRoles requires`,
      remedy: `ALTER ROLE ${quoteIdentifier(user)} CREATEROLE on the target, or set migrateRoles to false`,
    },
  ];
}
