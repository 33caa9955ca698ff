import type { DatabaseProperties, DatabaseSetting } from "./database-properties.js";
import type pg from "pg";
import { RefusedError, messageOf } from "../../errors.js";
import { quoteIdentifier, quoteLiteral, quoteSettingName } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { refused } from "../sql/refused.js";
import type { RestoreFinding } from "../sql/restore-findings.js";
import { localeChoices } from "./database-locale.js";
import { withoutSettingValues } from "../sql/statements.js";
import { settingValue } from "./setting-value.js";

/** @param source a session in the database itself */
export async function readDatabaseProperties(source: pg.Client): Promise<DatabaseProperties> {
  const version = await serverVersion(source);
  const { rows } = await source.query<{ properties: Nullable<DatabaseProperties> }>(propertiesQuery(version));
  const { locale, icuRules, comment, settings, privileges, ...facts } = rows[0]!.properties;
  return {
    ...facts,
    locale: locale ?? undefined,
    icuRules: icuRules ?? undefined,
    comment: comment ?? undefined,
    settings: settings.map((setting) => ({ ...setting, role: setting.role ?? undefined })),
    privileges: privileges?.map((privilege) => ({ ...privilege, grantee: privilege.grantee ?? undefined })),
  };
}

/** JSON has null instead of undefined. */
type Nullable<T> = { readonly [Key in keyof T]: undefined extends T[Key] ? Exclude<T[Key], undefined> | null : T[Key] };

function propertiesQuery(version: number): string {
  const provider =
    version >= 150000 ? "CASE d.datlocprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END" : "'libc'";
  const locale = version >= 170000 ? "d.datlocale" : version >= 150000 ? "d.daticulocale" : "NULL";
  const rules = version >= 160000 ? "d.daticurules" : "NULL";
  return `
SELECT json_build_object(
         'encoding', pg_encoding_to_char(d.encoding),
         'collate', d.datcollate,
         'ctype', d.datctype,
         'provider', ${provider},
         'locale', ${locale},
         'icuRules', ${rules},
         'comment', shobj_description(d.oid, 'pg_database'),
         'connectionLimit', d.datconnlimit,
         'settings', coalesce((
            SELECT json_agg(json_build_object(
                     'role', r.rolname,
                     'name', split_part(setting, '=', 1),
                     'value', substr(setting, strpos(setting, '=') + 1)) ORDER BY r.rolname NULLS FIRST, setting)
              FROM pg_db_role_setting s
              CROSS JOIN LATERAL unnest(s.setconfig) AS setting
              LEFT JOIN pg_roles r ON r.oid = s.setrole
             WHERE s.setdatabase = d.oid), '[]'),
         'privileges', CASE WHEN d.datacl IS NOT NULL THEN coalesce((
            SELECT json_agg(json_build_object(
                     'grantee', r.rolname,
                     'privilege', a.privilege_type,
                     'grantable', a.is_grantable) ORDER BY r.rolname NULLS FIRST, a.privilege_type)
              FROM aclexplode(d.datacl) a
              LEFT JOIN pg_roles r ON r.oid = a.grantee
             WHERE a.grantee <> d.datdba), '[]') END
       ) AS properties
  FROM pg_database d
 WHERE d.datname = current_database()`;
}

/**
 * Creates an empty database from template0, with properties as close to the source's as the target allows.
 *
 * @param target a session in the maintenance database
 * @throws RefusedError when the database exists, or no locale of the target works with its encoding
 */
export async function createTargetDatabase(
  target: pg.Client,
  name: string,
  properties: DatabaseProperties,
): Promise<RestoreFinding[]> {
  const finding = await create(target, name, properties);
  const findings = finding ? [finding] : [];
  if (properties.settings.some(isFence)) findings.push(fenceLeftOut(name));
  for (const { sql, what } of await refinements(target, name, properties)) {
    const error = await refused(target, sql);
    if (error) findings.push(skipped(name, what, error, sql));
  }
  return findings;
}

/** @param source a session in the database itself */
export async function readConnectionLimit(source: pg.Client): Promise<number> {
  const { rows } = await source.query<{ limit: number }>(
    "SELECT datconnlimit AS limit FROM pg_database WHERE datname = current_database()",
  );
  return rows[0]!.limit;
}

/**
 * Sets the source's connection limit on the target database. It runs last, because the limit includes the migration's
 * own sessions. A limit of 0 is not migrated, as validation reports: like a fence, it keeps applications out of the
 * source.
 */
export async function carryConnectionLimit(limit: number, target: pg.Client): Promise<void> {
  if (limit <= 0) return;
  await target.query(`ALTER DATABASE ${quoteIdentifier(target.database!)} CONNECTION LIMIT ${limit}`);
}

/** SQLSTATEs of CREATE DATABASE for a locale that the target lacks, or that does not work with the encoding. */
const localeErrors: ReadonlySet<string> = new Set(["22023", "42809", "0A000", "42704", "42601"]);

async function create(
  target: pg.Client,
  name: string,
  properties: DatabaseProperties,
): Promise<RestoreFinding | undefined> {
  const { encoding } = properties;
  const choices = await localeChoices(target, properties);
  let first: pg.DatabaseError | undefined;
  for (const { clause, isExact } of choices) {
    const error = await refused(
      target,
      `CREATE DATABASE ${quoteIdentifier(name)} TEMPLATE template0 ENCODING ${quoteLiteral(encoding)} ${clause}`,
    );
    if (!error) return isExact ? undefined : otherLocale(name, clause, first);
    if (!localeErrors.has(error.code ?? "")) throw notCreated(name, error);
    first ??= error;
  }
  throw notCreated(name, first);
}

const otherLocale = (name: string, clause: string, error: pg.DatabaseError | undefined): RestoreFinding => ({
  code: "603401",
  object: name,
  objectType: "DATABASE",
  message: `the source's locale is not available on the target${error ? ` (${error.message})` : ""}, so it was created with ${clause}`,
  remedy: "the order of texts in query results may differ: specify COLLATE where that matters",
  state: "Warning",
});

function notCreated(name: string, error: pg.DatabaseError | undefined): RefusedError {
  const remedy =
    sqlStateOf(error) === sqlStates.duplicateDatabase
      ? `drop ${name} on the target, or let the migration overwrite it`
      : sqlStateOf(error) === sqlStates.insufficientPrivilege
        ? "ALTER ROLE ... CREATEDB, for the role that migrates"
        : "create the database on the target manually, with an available locale";
  return new RefusedError(`the target refuses to create the database ${name}: ${error?.message ?? "no locale fits"}`, {
    remedy,
    cause: error,
  });
}

/** unique_violation occurs while another session creates the database. */
const nameTaken: ReadonlySet<string> = new Set([sqlStates.duplicateDatabase, sqlStates.uniqueViolation]);

/** Whether {@link createTargetDatabase} failed because a database of that name exists, or was created concurrently. */
export const isNameTaken = (error: unknown): boolean =>
  error instanceof RefusedError && nameTaken.has(sqlStateOf(error.cause));

interface Refinement {
  readonly sql: string;
  readonly what: string;
}

async function refinements(target: pg.Client, name: string, properties: DatabaseProperties): Promise<Refinement[]> {
  const { comment, settings, privileges } = properties;
  const database = quoteIdentifier(name);
  const { rows } = await target.query<{ name: string }>("SELECT rolname AS name FROM pg_roles");
  const roles = new Set(rows.map((role) => role.name));
  return [
    ...(comment === undefined
      ? []
      : [{ sql: `COMMENT ON DATABASE ${database} IS ${quoteLiteral(comment)}`, what: "its comment" }]),
    ...settings
      .filter((setting) => !isFence(setting) && (setting.role === undefined || roles.has(setting.role)))
      .map(({ role, name: setting, value }) => ({
        sql: `ALTER ${role === undefined ? "" : `ROLE ${quoteIdentifier(role)} IN `}DATABASE ${database} SET ${quoteSettingName(setting)} TO ${settingValue(setting, value)}`,
        what: `its setting ${setting}`,
      })),
    ...(privileges === undefined
      ? []
      : [{ sql: `REVOKE ALL ON DATABASE ${database} FROM PUBLIC`, what: "its privileges" }]),
    ...(privileges ?? []).map(({ grantee, privilege, grantable }) => ({
      sql: `GRANT ${privilege} ON DATABASE ${database} TO ${grantee === undefined ? "PUBLIC" : quoteIdentifier(grantee)}${grantable ? " WITH GRANT OPTION" : ""}`,
      what: `the privilege ${privilege} of ${grantee ?? "PUBLIC"}`,
    })),
  ];
}

/**
 * Whether a setting keeps writers out of the source, for example after an earlier cutover. The target has to be
 * writable.
 */
export const isFence = ({ name, value }: Pick<DatabaseSetting, "name" | "value">): boolean =>
  name === "default_transaction_read_only" && /^(on|t\w*|y\w*|1)$/i.test(value);

const fenceLeftOut = (name: string): RestoreFinding => ({
  code: "PGM-436",
  object: name,
  objectType: "DATABASE",
  message: "default_transaction_read_only = on, which fences the source, was left out",
  remedy: `if the target should be read-only, too: ALTER DATABASE ${quoteIdentifier(name)} SET default_transaction_read_only = on`,
  state: "Warning",
});

const skipped = (name: string, what: string, error: pg.DatabaseError, sql: string): RestoreFinding => ({
  code: "PGM-435",
  object: name,
  objectType: "DATABASE",
  message: `${what} was left out: ${error.message}`,
  remedy: `as a role with the privilege, run: ${withoutSettingValues(sql)}`,
  state: "Warning",
});

/** Whether the server has DROP DATABASE ... WITH (FORCE). */
export const canForceDrop = async (target: pg.Client): Promise<boolean> => (await serverVersion(target)) >= 130000;

/**
 * Terminates all sessions of a database and drops it, if it exists.
 *
 * @param target a session in the maintenance database
 * @throws RefusedError when the role lacks the privilege, or a replication slot or a subscription uses the database
 */
export async function dropTargetDatabase(target: pg.Client, name: string): Promise<void> {
  const database = quoteIdentifier(name);
  const canForce = await canForceDrop(target);
  try {
    if (!canForce)
      await target.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", [name]);
    await target.query(`DROP DATABASE IF EXISTS ${database}${canForce ? " WITH (FORCE)" : ""}`);
  } catch (cause) {
    throw new RefusedError(`the target's database ${name} cannot be dropped: ${messageOf(cause)}`, {
      remedy: `end its sessions, drop its replication slots and subscriptions, then DROP DATABASE ${database} as its owner`,
      code: sqlStateOf(cause) === sqlStates.objectInUse ? "603700" : "603117",
      cause,
    });
  }
}
