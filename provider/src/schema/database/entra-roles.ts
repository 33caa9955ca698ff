import type { Client } from "pg";
import { RefusedError } from "../../errors.js";
import { qualify, quoteLiteral } from "../../postgres/identifiers.js";
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

/** A function of the service, and the types of its parameters. */
interface ServiceFunction {
  readonly schema: string;
  readonly types: readonly string[];
}

/** A name may occur more than once in a tenant, an id does not. The last arguments: not as an administrator, without MFA. */
function callFor({ name, objectId, objectType }: EntraRole): {
  readonly name: string;
  readonly values: readonly string[];
} {
  return objectId === null || objectType === null
    ? { name: "pgaadauth_create_principal", values: [quoteLiteral(name), "false", "false"] }
    : {
        name: "pgaadauth_create_principal_with_oid",
        values: [...[name, objectId, objectType].map(quoteLiteral), "false", "false"],
      };
}

/**
 * The statement that creates an Entra role, never as an administrator.
 *
 * @param service the service's function; by default the statement has its name without a schema, for the search_path of a user
 */
export function createEntraRole(role: EntraRole, service?: ServiceFunction): string {
  const { name, values } = callFor(role);
  if (!service) return `SELECT * FROM ${name}(${values.join(", ")})`;
  // With exactly its types, no overloaded function of the same schema can be called instead.
  const typed = values.map((value, index) => `${value}::${service.types[index]!}`);
  return `SELECT * FROM ${qualify(service.schema, name)}(${typed.join(", ")})`;
}

/** The function that creates the role. The service's belongs to a superuser. Those of other roles are ignored. */
async function serviceFunction(target: Client, role: EntraRole): Promise<ServiceFunction | undefined> {
  const { name, values } = callFor(role);
  const { rows } = await target.query<ServiceFunction>(
    `SELECT n.nspname AS schema,
            ARRAY(SELECT format_type(type, NULL) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS t (type, at) ORDER BY at) AS types
       FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles o ON o.oid = p.proowner
      WHERE p.proname = $1 AND p.pronargs = $2 AND o.rolsuper AND n.nspname !~ '^pg_temp'
      ORDER BY p.oid LIMIT 1`,
    [name, values.length],
  );
  return rows[0];
}

/**
 * Creates the missing Entra roles.
 *
 * @param target a session of an Entra administrator in the database `postgres`, with an empty search_path
 * @throws RefusedError if the server refuses one, for example because the object is in another tenant
 */
export async function createEntraRoles(roles: readonly EntraRole[], target: Client): Promise<void> {
  for (const role of roles) {
    const create = createEntraRole(role, await serviceFunction(target, role));
    const refusal = await refused(target, create, "the migration of roles");
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
