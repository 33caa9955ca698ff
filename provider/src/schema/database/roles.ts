import type pg from "pg";
import type { FindingCode } from "../../finding-codes/finding-code.js";
import { quoteIdentifier, quoteLiteral, quoteSettingName } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";
import { inTransaction } from "../../postgres/transaction.js";
import { refused } from "../sql/refused.js";
import type { RestoreFinding } from "../sql/restore-findings.js";
import { withoutSettingValues } from "../sql/statements.js";
import { settingValue } from "./setting-value.js";

/** A role on one of the servers. */
interface Role {
  readonly name: string;
  /** Which of LOGIN, SUPERUSER, REPLICATION, BYPASSRLS and CREATEROLE the role has. */
  readonly attributes: readonly string[];
  readonly inherit: boolean;
  readonly createDatabase: boolean;
  readonly connectionLimit: number;
  readonly validUntil: string | null;
  readonly comment: string | null;
  /** The encrypted password of pg_authid; null without one, or if this role may not read it. */
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

/** The bootstrap superuser (OID 10), PostgreSQL's own roles and those of managed services are not migrated. */
const ofServices = "^(pg_|rds|azure|cloudsql|alloydb)";

const ofUsers = (alias: string): string => `${alias}.oid <> 10 AND ${alias}.rolname !~ '${ofServices}'`;

/** Whether {@link migrateRoles} creates a missing role of this name. The bootstrap superuser is excluded separately. */
export const isMigratedRole = (name: string): boolean => !new RegExp(ofServices).test(name);

/**
 * Migrates roles with memberships, settings and comments. An existing role keeps its attributes, password, settings and
 * comment, and gets no new members: it need not be the source's role of that name. Each run reports what it lacks. No
 * role becomes a superuser.
 *
 * All is done in one transaction. Otherwise the memberships would be missing after a failure, because the next attempt
 * finds existing roles.
 *
 * @param source a session in any database of the source
 * @param target a session of a role with CREATEROLE, outside a transaction
 * @param createdBefore roles that this migration has created just before
 */
export async function migrateRoles(
  source: pg.Client,
  target: pg.Client,
  createdBefore: readonly string[],
): Promise<RestoreFinding[]> {
  const version = await serverVersion(target);
  // From 16 on, the creator of a role becomes a member with SET and INHERIT only with this setting. Otherwise it could
  // not give objects to the role.
  if (version >= 160000) await target.query("SET createrole_self_grant = 'set, inherit'");
  return inTransaction(target, async () => {
    const own = new Set(createdBefore);
    return [
      ...(await createRoles(source, target, own)),
      ...(await grantMemberships(source, target, own)),
      ...(await applySettings(source, target, own)),
    ];
  });
}

/** @param own names of the roles that this migration created. Those created here are added */
async function createRoles(source: pg.Client, target: pg.Client, own: Set<string>): Promise<RestoreFinding[]> {
  const version = await serverVersion(target);
  const findings: RestoreFinding[] = [];
  const before = await namesOfRoles(target);
  const passwordsReadable = await mayReadPasswords(source);
  const roles = await readRoles(source, passwordsReadable);
  for (const role of roles) {
    if (before.has(role.name)) continue;
    const found = await createRole(target, role, version, passwordsReadable);
    if (found.every(({ code }) => code !== "603701")) own.add(role.name);
    findings.push(...found);
  }
  const created = new Map((await readRoles(target, false)).map((role) => [role.name, role]));
  for (const role of roles) {
    const targetRole = created.get(role.name);
    if (!targetRole) continue;
    findings.push(...lostAttributes(role, targetRole, passwordsReadable));
    if (role.comment !== null && targetRole.comment === null)
      findings.push(...(await commentOn(target, role.name, role.comment, own)));
  }
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
    `CONNECTION LIMIT ${role.connectionLimit}`,
    ...(role.validUntil === null ? [] : [`VALID UNTIL ${quoteLiteral(role.validUntil)}`]),
  ].join(" ");
  const refusal = await refusalOf(target, `CREATE ROLE ${name} NOLOGIN ${attributes}`);
  if (refusal !== undefined)
    return [finding("603701", role.name, `the role was not created: ${refusal}`, `CREATE ROLE ${name} ${attributes}`)];
  const findings: RestoreFinding[] = [];
  if (version < 160000) {
    const mine = await refusalOf(target, `GRANT ${name} TO CURRENT_USER`);
    if (mine !== undefined)
      findings.push(finding("603704", role.name, `it was not granted to the migrating role: ${mine}`));
  }
  // If the migrating role may not grant one of these, the role is reported without it. Before 16, a role with CREATEROLE
  // may grant itself every role that is not a superuser, also those of other applications on the target.
  for (const attribute of ["REPLICATION", "BYPASSRLS", ...(version >= 160000 ? ["CREATEROLE"] : [])])
    if (role.attributes.includes(attribute)) await refusalOf(target, `ALTER ROLE ${name} ${attribute}`);
  if (role.attributes.includes("LOGIN") && passwordsReadable) findings.push(...(await letLogIn(target, role)));
  return findings;
}

/** A role without a password keeps LOGIN: it may authenticate by a certificate, LDAP or another method. */
async function letLogIn(target: pg.Client, { name, password }: Role): Promise<RestoreFinding[]> {
  const withPassword = password === null ? "" : ` PASSWORD ${quoteLiteral(password)}`;
  const refusal = await refusalOf(target, `ALTER ROLE ${quoteIdentifier(name)} LOGIN${withPassword}`);
  return refusal === undefined ? [] : [finding("PGM-701", name, `the target refused its password: ${refusal}`)];
}

/** Compares with the target, so that a later attempt, which finds an existing role, reports the same. */
function lostAttributes({ name, attributes }: Role, targetRole: Role, passwordsReadable: boolean): RestoreFinding[] {
  const lost = attributes.filter((attribute) => !targetRole.attributes.includes(attribute));
  const rights = lost.filter((attribute) => attribute !== "LOGIN");
  const alter = `ALTER ROLE ${quoteIdentifier(name)}`;
  const why = passwordsReadable ? "" : "its password could not be read on the source, so ";
  return [
    ...(lost.includes("LOGIN")
      ? [
          finding(
            passwordsReadable ? "PGM-701" : "603702",
            name,
            `${why}it may not log in on the target`,
            `${alter} LOGIN PASSWORD '...' on the target`,
          ),
        ]
      : []),
    ...(rights.length === 0
      ? []
      : [
          finding(
            "PGM-702",
            name,
            `it lacks ${rights.join(", ")} on the target, which was not granted`,
            `if it is needed and allowed: ${alter} ${rights.join(" ")}`,
          ),
        ]),
  ];
}

const existedBefore = "the role existed on the target before this attempt, and may be another one";

async function commentOn(
  target: pg.Client,
  name: string,
  comment: string,
  own: ReadonlySet<string>,
): Promise<RestoreFinding[]> {
  const sql = `COMMENT ON ROLE ${quoteIdentifier(name)} IS ${quoteLiteral(comment)}`;
  const refusal = own.has(name) ? await refusalOf(target, sql) : existedBefore;
  return refusal === undefined ? [] : [finding("PGM-703", name, `its comment was not migrated: ${refusal}`, sql)];
}

/** Grants only roles of this migration. Roles of services and of other applications are never granted. */
async function grantMemberships(
  source: pg.Client,
  target: pg.Client,
  own: ReadonlySet<string>,
): Promise<RestoreFinding[]> {
  const version = await serverVersion(target);
  const names = await namesOfRoles(target);
  const there = await readMemberships(target);
  const findings: RestoreFinding[] = [];
  for (const membership of await readMemberships(source)) {
    const { role, member } = membership;
    if (!names.has(role) || !names.has(member) || there.some((one) => includesMembership(one, membership))) continue;
    const sql = grantStatement(membership, version);
    const why = own.has(role) ? await refusalOf(target, sql) : `${role} existed on the target before this attempt`;
    if (why === undefined) continue;
    findings.push(finding(membershipCode(role), member, `it is not a member of ${role} as on the source: ${why}`, sql));
  }
  return findings;
}

const includesMembership = (one: Membership, wanted: Membership): boolean =>
  one.role === wanted.role &&
  one.member === wanted.member &&
  // Before 16, each membership allows SET ROLE.
  (["admin", "inherit", "set"] as const).every(
    (option) => !(wanted[option] ?? option === "set") || one[option] !== false,
  );

function grantStatement({ role, member, admin, inherit, set }: Membership, version: number): string {
  const option = (name: string, value: boolean): string => `${name} ${value ? "TRUE" : "FALSE"}`;
  const options = [
    ...(admin ? [version >= 160000 ? "ADMIN TRUE" : "ADMIN OPTION"] : []),
    ...(version >= 160000 && inherit !== null ? [option("INHERIT", inherit)] : []),
    ...(version >= 160000 && set !== null ? [option("SET", set)] : []),
  ];
  const clause = options.length === 0 ? "" : ` WITH ${options.join(", ")}`;
  return `GRANT ${quoteIdentifier(role)} TO ${quoteIdentifier(member)}${clause}`;
}

const membershipCode = (role: string): FindingCode => (role === "azure_pg_admin" ? "603707" : "603705");

async function applySettings(
  source: pg.Client,
  target: pg.Client,
  own: ReadonlySet<string>,
): Promise<RestoreFinding[]> {
  const names = await namesOfRoles(target);
  const there = new Set((await readSettings(target)).map(({ role, name }) => JSON.stringify([role, name])));
  const findings: RestoreFinding[] = [];
  for (const { role, name, value } of await readSettings(source)) {
    if (!names.has(role) || there.has(JSON.stringify([role, name]))) continue;
    const sql = `ALTER ROLE ${quoteIdentifier(role)} SET ${quoteSettingName(name)} TO ${settingValue(name, value)}`;
    const refusal = own.has(role) ? await refusalOf(target, sql) : existedBefore;
    if (refusal !== undefined)
      findings.push(
        finding("PGM-703", role, `its setting ${name} was left out: ${refusal}`, withoutSettingValues(sql)),
      );
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
            r.rolconnlimit AS "connectionLimit", r.rolvaliduntil::text AS "validUntil",
            shobj_description(r.oid, 'pg_authid') AS comment,
            array_remove(ARRAY[CASE WHEN r.rolcanlogin THEN 'LOGIN' END, CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
                               CASE WHEN r.rolreplication THEN 'REPLICATION' END,
                               CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END,
                               CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END], NULL) AS attributes,
            ${withPasswords ? "r.rolpassword" : "NULL"} AS password
       FROM ${withPasswords ? "pg_authid" : "pg_roles"} r WHERE ${ofUsers("r")} ORDER BY r.rolname`,
  );
  return rows;
}

async function readMemberships(client: pg.Client): Promise<Membership[]> {
  const hasOptions = (await serverVersion(client)) >= 160000;
  const { rows } = await client.query<Membership>(
    `SELECT r.rolname AS role, m.rolname AS member, bool_or(a.admin_option) AS admin,
            ${hasOptions ? "bool_or(a.inherit_option)" : "NULL"} AS inherit, ${hasOptions ? "bool_or(a.set_option)" : "NULL"} AS set
       FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
      WHERE ${ofUsers("m")} GROUP BY r.rolname, m.rolname ORDER BY 1, 2`,
  );
  return rows;
}

/** Settings of roles in all databases. Settings for a single database belong to that database. */
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

function finding(code: FindingCode, role: string, message: string, remedy?: string): RestoreFinding {
  return {
    code,
    object: role,
    objectType: "ROLE",
    message: `role ${role}: ${message}`,
    state: "Warning",
    ...(remedy === undefined ? {} : { remedy }),
  };
}

/**
 * The server's message for a refused statement, which does not end the transaction. Never the statement, which may
 * contain a password's hash.
 */
async function refusalOf(target: pg.Client, sql: string): Promise<string | undefined> {
  const during = "the migration of roles";
  await refused(target, "SAVEPOINT refusal", during);
  const error = await refused(target, sql, during);
  await refused(target, `${error ? "ROLLBACK TO SAVEPOINT refusal; " : ""}RELEASE SAVEPOINT refusal`, during);
  return error?.message;
}
