import pg from "pg";
import { UnreachableError, messageOf } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { quoteIdentifier, quoteLiteral } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";
import type { RestoreFinding } from "../sql/restore-findings.js";
import { settingValue } from "./setting-value.js";

/** A role, as either server has it. */
interface Role {
  readonly name: string;
  /** Of LOGIN, SUPERUSER, REPLICATION and BYPASSRLS, those that it has. */
  readonly attributes: readonly string[];
  readonly inherit: boolean;
  readonly createDatabase: boolean;
  readonly createRole: boolean;
  readonly connectionLimit: number;
  readonly validUntil: string | null;
  readonly comment: string | null;
  /** As pg_authid keeps it, never in the clear; null when there is none, or it may not be read. */
  readonly password: string | null;
}

interface Membership {
  readonly role: string;
  readonly member: string;
  readonly admin: boolean;
  /** From 16 on. */
  readonly inherit: boolean | null;
  readonly set: boolean | null;
}

interface RoleSetting {
  readonly role: string;
  readonly name: string;
  readonly value: string;
}

/** The bootstrap superuser (OID 10), PostgreSQL's own roles and those of managed services stay where they are. */
const ofServices = "^(pg_|rds|azure|cloudsql|alloydb)";

const ofUsers = (alias: string): string => `${alias}.oid <> 10 AND ${alias}.rolname !~ '${ofServices}'`;

/** Whether {@link migrateRoles} makes a role of this name where the target lacks it; the bootstrap superuser aside. */
export const isMigratedRole = (name: string): boolean => !new RegExp(ofServices).test(name);

/**
 * Gives the target the source's roles, with memberships, settings and comments. A role that is there already keeps its
 * attributes, its password, and the settings and the comment that it has, so this can be run again. What a role lacks on the
 * target is found each time. No role becomes a superuser.
 *
 * @param source a session in any database of the source
 * @param target a session of a role with CREATEROLE
 */
export async function migrateRoles(source: pg.Client, target: pg.Client): Promise<RestoreFinding[]> {
  const version = await serverVersion(target);
  // Since 16 the creator of a role is not its member unless this says so, and then could give it nothing.
  if (version >= 160000) await target.query("SET createrole_self_grant = 'set, inherit'");
  const findings: RestoreFinding[] = [];
  const there = await namesOfRoles(target);
  const passwordsReadable = await mayReadPasswords(source);
  const roles = await readRoles(source, passwordsReadable);
  for (const role of roles)
    if (!there.has(role.name)) findings.push(...(await createRole(target, role, version, passwordsReadable)));
  const created = new Map((await readRoles(target, false)).map((role) => [role.name, role]));
  for (const role of roles) {
    const twin = created.get(role.name);
    if (!twin) continue;
    findings.push(...lostAttributes(role, twin, passwordsReadable));
    if (role.comment !== null && twin.comment === null)
      findings.push(...(await commentOn(target, role.name, role.comment)));
  }
  const names = await namesOfRoles(target);
  for (const membership of await readMemberships(source))
    if (names.has(membership.role) && names.has(membership.member))
      findings.push(...(await grant(target, membership, version)));
  findings.push(...(await applySettings(target, await readSettings(source), names)));
  return findings;
}

async function createRole(
  target: pg.Client,
  role: Role,
  version: number,
  passwordsReadable: boolean,
): Promise<RestoreFinding[]> {
  const name = quoteIdentifier(role.name);
  const attributes = [
    role.inherit ? "INHERIT" : "NOINHERIT",
    role.createDatabase ? "CREATEDB" : "NOCREATEDB",
    role.createRole ? "CREATEROLE" : "NOCREATEROLE",
    `CONNECTION LIMIT ${role.connectionLimit}`,
    ...(role.validUntil === null ? [] : [`VALID UNTIL ${quoteLiteral(role.validUntil)}`]),
  ].join(" ");
  const refusal = await refused(target, `CREATE ROLE ${name} NOLOGIN ${attributes}`);
  if (refusal !== undefined)
    return [finding(role.name, `the role was not created: ${refusal}`, `CREATE ROLE ${name} ${attributes}`, "failed")];
  const findings: RestoreFinding[] = [];
  if (version < 160000) {
    const mine = await refused(target, `GRANT ${name} TO CURRENT_USER`);
    if (mine !== undefined) findings.push(finding(role.name, `it was not granted to the migrating role: ${mine}`));
  }
  // Where the migrating role may not give one of these, the role is found without it.
  for (const attribute of ["REPLICATION", "BYPASSRLS"])
    if (role.attributes.includes(attribute)) await refused(target, `ALTER ROLE ${name} ${attribute}`);
  if (role.attributes.includes("LOGIN") && passwordsReadable) findings.push(...(await letLogIn(target, role)));
  return findings;
}

/** A role without a password keeps LOGIN: it authenticates by a certificate, LDAP or the like, or not at all. */
async function letLogIn(target: pg.Client, { name, password }: Role): Promise<RestoreFinding[]> {
  const withPassword = password === null ? "" : ` PASSWORD ${quoteLiteral(password)}`;
  const refusal = await refused(target, `ALTER ROLE ${quoteIdentifier(name)} LOGIN${withPassword}`);
  return refusal === undefined ? [] : [finding(name, `the target did not take its password: ${refusal}`)];
}

/** By the state of the target, so that a later attempt, which finds the role there, reports the same. */
function lostAttributes({ name, attributes }: Role, twin: Role, passwordsReadable: boolean): RestoreFinding[] {
  const lost = attributes.filter((attribute) => !twin.attributes.includes(attribute));
  const rights = lost.filter((attribute) => attribute !== "LOGIN");
  const alter = `ALTER ROLE ${quoteIdentifier(name)}`;
  const why = passwordsReadable ? "" : "its password could not be read on the source, so ";
  return [
    ...(lost.includes("LOGIN")
      ? [finding(name, `${why}it may not log in on the target`, `${alter} LOGIN PASSWORD '...' on the target`)]
      : []),
    ...(rights.length === 0
      ? []
      : [
          finding(
            name,
            `it is without ${rights.join(", ")} on the target, which the migrating role may not give`,
            `where it is needed and allowed: ${alter} ${rights.join(" ")}`,
          ),
        ]),
  ];
}

async function commentOn(target: pg.Client, name: string, comment: string): Promise<RestoreFinding[]> {
  const sql = `COMMENT ON ROLE ${quoteIdentifier(name)} IS ${quoteLiteral(comment)}`;
  const refusal = await refused(target, sql);
  return refusal === undefined ? [] : [finding(name, `its comment was not migrated: ${refusal}`, sql)];
}

async function grant(target: pg.Client, membership: Membership, version: number): Promise<RestoreFinding[]> {
  const { role, member, admin, inherit, set } = membership;
  const option = (name: string, value: boolean): string => `${name} ${value ? "TRUE" : "FALSE"}`;
  const options = [
    ...(admin ? [version >= 160000 ? "ADMIN TRUE" : "ADMIN OPTION"] : []),
    ...(version >= 160000 && inherit !== null ? [option("INHERIT", inherit)] : []),
    ...(version >= 160000 && set !== null ? [option("SET", set)] : []),
  ];
  const clause = options.length === 0 ? "" : ` WITH ${options.join(", ")}`;
  const sql = `GRANT ${quoteIdentifier(role)} TO ${quoteIdentifier(member)}${clause}`;
  const refusal = await refused(target, sql);
  return refusal === undefined ? [] : [finding(member, `it is no member of ${role} on the target: ${refusal}`, sql)];
}

async function applySettings(
  target: pg.Client,
  settings: readonly RoleSetting[],
  roles: ReadonlySet<string>,
): Promise<RestoreFinding[]> {
  const own = new Set((await readSettings(target)).map(({ role, name }) => JSON.stringify([role, name])));
  const findings: RestoreFinding[] = [];
  for (const { role, name, value } of settings) {
    if (!roles.has(role) || own.has(JSON.stringify([role, name]))) continue;
    const setting = name.split(".").map(quoteIdentifier).join(".");
    const sql = `ALTER ROLE ${quoteIdentifier(role)} SET ${setting} TO ${settingValue(name, value)}`;
    const refusal = await refused(target, sql);
    if (refusal !== undefined) findings.push(finding(role, `its setting ${name} was left out: ${refusal}`, sql));
  }
  return findings;
}

async function mayReadPasswords(source: pg.Client): Promise<boolean> {
  const { rows } = await source.query<{ may: boolean }>("SELECT has_table_privilege('pg_authid', 'SELECT') AS may");
  return rows[0]!.may;
}

async function readRoles(client: pg.Client, withPasswords: boolean): Promise<Role[]> {
  const { rows } = await client.query<Role>(
    `SELECT r.rolname AS name, r.rolinherit AS inherit, r.rolcreatedb AS "createDatabase",
            r.rolcreaterole AS "createRole", r.rolconnlimit AS "connectionLimit", r.rolvaliduntil::text AS "validUntil",
            shobj_description(r.oid, 'pg_authid') AS comment,
            array_remove(ARRAY[CASE WHEN r.rolcanlogin THEN 'LOGIN' END, CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
                               CASE WHEN r.rolreplication THEN 'REPLICATION' END,
                               CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END], NULL) AS attributes,
            ${withPasswords ? "r.rolpassword" : "NULL"} AS password
       FROM ${withPasswords ? "pg_authid" : "pg_roles"} r WHERE ${ofUsers("r")} ORDER BY r.rolname`,
  );
  return rows;
}

async function readMemberships(source: pg.Client): Promise<Membership[]> {
  const hasOptions = (await serverVersion(source)) >= 160000;
  const { rows } = await source.query<Membership>(
    `SELECT r.rolname AS role, m.rolname AS member, bool_or(a.admin_option) AS admin,
            ${hasOptions ? "bool_or(a.inherit_option)" : "NULL"} AS inherit, ${hasOptions ? "bool_or(a.set_option)" : "NULL"} AS set
       FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
      WHERE ${ofUsers("m")} GROUP BY r.rolname, m.rolname ORDER BY 1, 2`,
  );
  return rows;
}

/** Of roles, in whatever database; what holds in one database belongs to that. */
async function readSettings(client: pg.Client): Promise<RoleSetting[]> {
  const { rows } = await client.query<RoleSetting>(
    `SELECT r.rolname AS role, split_part(setting, '=', 1) AS name, substr(setting, strpos(setting, '=') + 1) AS value
       FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS setting
       JOIN pg_roles r ON r.oid = s.setrole
      WHERE s.setdatabase = 0 AND ${ofUsers("r")} ORDER BY 1, 2`,
  );
  return rows;
}

async function namesOfRoles(client: pg.Client): Promise<Set<string>> {
  const { rows } = await client.query<{ name: string }>("SELECT rolname AS name FROM pg_roles");
  return new Set(rows.map(({ name }) => name));
}

function finding(
  role: string,
  message: string,
  remedy?: string,
  severity: RestoreFinding["severity"] = "warning",
): RestoreFinding {
  return {
    object: role,
    objectType: "ROLE",
    message: `role ${role}: ${message}`,
    severity,
    ...(remedy === undefined ? {} : { remedy }),
  };
}

/** What the server says against a statement; never the statement, which may hold a password's hash. */
async function refused(target: pg.Client, sql: string): Promise<string | undefined> {
  try {
    await target.query(sql);
    return undefined;
  } catch (error) {
    if (isConnectionLoss(error))
      throw new UnreachableError(`the target's connection broke while roles were made: ${messageOf(error)}`, {
        cause: error,
      });
    if (error instanceof pg.DatabaseError) return error.message;
    throw error;
  }
}
