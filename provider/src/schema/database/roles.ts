import pg from "pg";
import { Unreachable, messageOf } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { quoteIdentifier, quoteLiteral } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";
import type { RestoreFinding } from "../sql/restore-findings.js";
import { settingValue } from "./setting-value.js";

/** A role of the source. What only a superuser can give is in `withheld`. */
interface Role {
  readonly name: string;
  readonly login: boolean;
  readonly inherit: boolean;
  readonly createDatabase: boolean;
  readonly createRole: boolean;
  readonly connectionLimit: number;
  readonly validUntil: string | null;
  readonly withheld: readonly string[];
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
 * Gives the target the source's roles, with memberships and settings. A role that is there already keeps its attributes,
 * its password and the settings that it has, so this can be run again. Nothing here takes a superuser on either side:
 * what would is found and left out.
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
  for (const role of await readRoles(source, passwordsReadable)) {
    if (there.has(role.name)) continue;
    findings.push(...(await createRole(target, role, version)));
  }
  const created = await namesOfRoles(target);
  for (const membership of await readMemberships(source))
    if (created.has(membership.role) && created.has(membership.member))
      findings.push(...(await grant(target, membership, version)));
  findings.push(...(await applySettings(target, await readSettings(source), created)));
  return findings;
}

async function createRole(target: pg.Client, role: Role, version: number): Promise<RestoreFinding[]> {
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
  const findings = role.withheld.length === 0 ? [] : [withheld(role)];
  if (version < 160000) {
    const mine = await refused(target, `GRANT ${name} TO CURRENT_USER`);
    if (mine !== undefined) findings.push(finding(role.name, `it was not granted to the migrating role: ${mine}`));
  }
  return [...findings, ...(role.login ? await letLogIn(target, role) : [])];
}

/** A role whose password cannot be carried must not log in with none, or with one that somebody guesses. */
async function letLogIn(target: pg.Client, { name, password }: Role): Promise<RestoreFinding[]> {
  const remedy = `ALTER ROLE ${quoteIdentifier(name)} LOGIN PASSWORD '...' on the target`;
  if (password === null)
    return [finding(name, "its password could not be read on the source, so it may not log in on the target", remedy)];
  const login = `ALTER ROLE ${quoteIdentifier(name)} LOGIN PASSWORD ${quoteLiteral(password)}`;
  const refusal = await refused(target, login);
  return refusal === undefined
    ? []
    : [finding(name, `the target did not take its password, so it may not log in there: ${refusal}`, remedy)];
}

const withheld = ({ name, withheld: attributes }: Role): RestoreFinding =>
  finding(
    name,
    `it is without ${attributes.join(", ")} on the target, which only a superuser can give`,
    `where it is needed and allowed: ALTER ROLE ${quoteIdentifier(name)} ${attributes.join(" ")}`,
  );

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

async function readRoles(source: pg.Client, withPasswords: boolean): Promise<Role[]> {
  const { rows } = await source.query<Role>(
    `SELECT r.rolname AS name, r.rolcanlogin AS login, r.rolinherit AS inherit, r.rolcreatedb AS "createDatabase",
            r.rolcreaterole AS "createRole", r.rolconnlimit AS "connectionLimit", r.rolvaliduntil::text AS "validUntil",
            array_remove(ARRAY[CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolreplication THEN 'REPLICATION' END,
                               CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END], NULL) AS withheld,
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
      throw new Unreachable(`the target's connection broke while roles were made: ${messageOf(error)}`, {
        cause: error,
      });
    if (error instanceof pg.DatabaseError) return error.message;
    throw error;
  }
}
