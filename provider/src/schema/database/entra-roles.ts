import type { Client } from "pg";
import { RefusedError } from "../../errors.js";
import { quoteIdentifier, quoteLiteral } from "../../postgres/identifiers.js";
import { refused } from "../sql/refused.js";

/** A role whose login is an object of Microsoft Entra. */
export interface EntraRole {
  readonly name: string;
  /** Id and type of the object. Null on a Single Server, which knows only its name. */
  readonly objectId: string | null;
  readonly objectType: string | null;
}

/** The database of a flexible server that has the functions for its Entra roles. */
export const entraDatabase = "postgres";

/** The Entra roles of the source that the target does not have. */
export async function missingEntraRoles(source: Client, target: Client): Promise<EntraRole[]> {
  const { rows: roles } = await source.query<EntraRole>(entraQuery);
  const { rows: missing } = await target.query<{ name: string }>(
    "SELECT name FROM unnest($1::name[]) AS name WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)",
    [roles.map(({ name }) => name)],
  );
  const names = new Set(missing.map(({ name }) => name));
  return roles.filter(({ name }) => names.has(name));
}

/** A flexible server labels its Entra roles. On a Single Server they are members of azure_ad_user. */
const entraQuery = `
  SELECT r.rolname AS name, substring(l.label FROM 'oid=([0-9A-Fa-f-]+)') AS "objectId",
         substring(l.label FROM 'type=(user|group|service)') AS "objectType"
    FROM pg_roles r
    LEFT JOIN pg_shseclabel l ON l.classoid = 'pg_authid'::regclass AND l.objoid = r.oid AND l.provider = 'pgaadauth'
   WHERE r.rolname !~ '^(pg_|azure)'
     AND (l.label IS NOT NULL
          OR EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
                      WHERE m.member = r.oid AND g.rolname = 'azure_ad_user'))
   ORDER BY 1`;

/** Whether the session's role is a Microsoft Entra administrator, who alone can create Entra roles. */
export async function isEntraAdministrator(target: Client): Promise<boolean> {
  const { rows } = await target.query<{ is: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_shseclabel l JOIN pg_roles r ON r.oid = l.objoid
                     WHERE l.classoid = 'pg_authid'::regclass AND l.provider = 'pgaadauth'
                       AND r.rolname = session_user AND l.label ~ '(^|,)admin(,|$)') AS is`,
  );
  return rows[0]!.is;
}

/**
 * The statement that creates an Entra role, never as an administrator. A name may occur more than once in a tenant, an id
 * does not.
 *
 * @param schema of the function. A user's search_path finds it without.
 */
export function createEntraRole({ name, objectId, objectType }: EntraRole, schema?: string): string {
  const prefix = schema === undefined ? "" : `${quoteIdentifier(schema)}.`;
  const create = `SELECT * FROM ${prefix}pgaadauth_create_principal`;
  return objectId === null || objectType === null
    ? `${create}(${quoteLiteral(name)}, false, false)`
    : `${create}_with_oid(${[name, objectId, objectType].map(quoteLiteral).join(", ")}, false, false)`;
}

/**
 * Creates the missing Entra roles.
 *
 * @param target a session of an Entra administrator in the database `postgres`
 * @throws RefusedError if the server refuses one, for example because the object is in another tenant
 */
export async function createEntraRoles(roles: readonly EntraRole[], target: Client): Promise<void> {
  const { rows } = await target.query<{ schema: string }>(
    `SELECT n.nspname AS schema FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
      WHERE p.proname = 'pgaadauth_create_principal'`,
  );
  for (const role of roles) {
    const refusal = await refused(target, createEntraRole(role, rows[0]?.schema), "the migration of roles");
    if (refusal === undefined) continue;
    throw new RefusedError(
      `the target refused to create the role ${role.name} of Microsoft Entra: ${refusal.message}`,
      {
        remedy: `as an Entra administrator, in the database ${entraDatabase} of the target: ${createEntraRole(role)}; or create an ordinary role of this name`,
        code: "603103",
        cause: refusal,
      },
    );
  }
}
