import pg from "pg";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import type { Finding } from "../../findings.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";
import { usedExtensions, type UsedExtension } from "./used-extensions.js";

/** An object of an extension on the source. */
interface Member {
  readonly type: string;
  readonly identity: string;
  /** Objects of the database that use it and do not belong to an extension. */
  readonly users: readonly string[];
}

const maxNamed = 20;

/**
 * A dump contains only the name of an extension: the target creates it in its own version, with that version's objects.
 * Objects that a user added with ALTER EXTENSION ... ADD are missing there.
 */
export const extensionMembers: Rule = async ({ sources, target, spec }) => {
  if (spec.dataOnly) return [];
  const findings: Finding[] = [];
  const offered = await offeredVersions(target);
  const onTarget = new Map<string, ReadonlySet<string> | undefined>();
  for (const [database, source] of sources) {
    const used = (await usedExtensions(source, spec)).filter(({ name }) => offered.has(name));
    const common = { database, type: "ExtensionsValidation", objectType: "Database" } as const;
    findings.push(...otherVersions(common, used, offered));
    const schemas = await extensionSchemas(source);
    const lost: Member[] = [];
    // Only trusted extensions: others may run any code. One that requires preloading would end the session.
    for (const { name } of used.filter((one) => offered.get(one.name)!.trusted)) {
      if (!onTarget.has(name)) onTarget.set(name, await membersOnTarget(target, name));
      const targetMembers = onTarget.get(name);
      if (targetMembers)
        lost.push(...(await membersOf(source, name)).filter((member) => !targetMembers.has(titleOf(member, schemas))));
    }
    findings.push(...lostMembers(common, lost));
  }
  return findings;
};

/** Azure has its own code for PostGIS. */
function otherVersions(
  common: Common,
  used: readonly UsedExtension[],
  offered: ReadonlyMap<string, OfferedExtension>,
): Finding[] {
  const changing = used.filter(({ name, version }) => offered.get(name)!.version !== version);
  const isPostgis = ({ name }: UsedExtension): boolean => name.startsWith("postgis");
  return [
    { code: "603406" as const, some: changing.filter(isPostgis) },
    { code: "PGM-427" as const, some: changing.filter((one) => !isPostgis(one)) },
  ]
    .filter(({ some }) => some.length > 0)
    .map(({ code, some }) => ({
      ...common,
      ...{ state: "Warning", code, object: some[0]!.name },
      message: `extensions are created in the version that the target offers: ${enumerate(
        some.map(({ name, version }) => `${name} ${offered.get(name)!.version} instead of ${version}`),
        maxNamed,
      )}`,
      remedy: "check the extension's release notes if the version is older, or much newer, than on the source",
    }));
}

type Common = Pick<Finding, "database" | "type" | "objectType">;

function lostMembers(common: Common, members: readonly Member[]): Finding[] {
  const needed = members.filter(({ users }) => users.length > 0);
  const unneeded = members.filter(({ users }) => users.length === 0);
  const remedy =
    "if it is your own object, remove it from its extension on the source, so that it is migrated: ALTER EXTENSION ... DROP ...";
  return [
    ...(needed.length === 0
      ? []
      : [
          {
            ...common,
            state: "Failed" as const,
            code: "PGM-428" as const,
            object: needed[0]!.identity,
            message: `these belong to an extension on the source but not on the target, and other objects need them: ${enumerate(
              needed.map(({ type, identity, users }) => `${type} ${identity} (${enumerate(users)})`),
              maxNamed,
            )}`,
            remedy: `${remedy}; if the target's version lacks it, drop or exclude the objects that need it`,
          },
        ]),
    ...(unneeded.length === 0
      ? []
      : [
          {
            ...common,
            state: "Warning" as const,
            code: "PGM-428" as const,
            object: unneeded[0]!.identity,
            message: `these belong to an extension on the source but not on the target, and are not migrated: ${enumerate(
              unneeded.map(({ type, identity }) => `${type} ${identity}`),
              maxNamed,
            )}`,
            remedy,
          },
        ]),
  ];
}

interface OfferedExtension {
  readonly version: string;
  readonly trusted: boolean;
}

async function offeredVersions(target: pg.Client): Promise<ReadonlyMap<string, OfferedExtension>> {
  const { rows } = await target.query<OfferedExtension & { name: string }>(
    `SELECT e.name, e.default_version AS version, v.trusted
       FROM pg_available_extensions e JOIN pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version`,
  );
  return new Map(rows.map(({ name, version, trusted }) => [name, { version, trusted }]));
}

async function extensionSchemas(session: pg.Client): Promise<string[]> {
  const { rows } = await session.query<{ name: string }>(
    "SELECT DISTINCT quote_ident(n.nspname) AS name FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace",
  );
  // Versions differ in the types that they qualify with pg_catalog.
  return [...new Set(["pg_catalog", ...rows.map(({ name }) => name)])];
}

/** An extension's objects. Array types and row types are parts of other objects, and are members only before 14. */
async function membersOf(session: pg.Client, extension: string): Promise<Member[]> {
  const { rows } = await session.query<Member>(
    `SELECT i.type, i.identity, ARRAY(
              SELECT DISTINCT pg_describe_object(u.classid, u.objid, 0) FROM pg_depend u
               WHERE u.refclassid = m.classid AND u.refobjid = m.objid AND u.deptype IN ('n', 'a')
                 AND NOT EXISTS (SELECT FROM pg_depend own WHERE own.classid = u.classid AND own.objid = u.objid AND own.deptype = 'e')
                 AND NOT EXISTS (SELECT FROM pg_depend part JOIN pg_depend own
                                     ON own.classid = part.refclassid AND own.objid = part.refobjid AND own.deptype = 'e'
                                  WHERE part.classid = u.classid AND part.objid = u.objid AND part.deptype IN ('i', 'a'))
               ORDER BY 1) AS users
       FROM pg_extension e JOIN pg_depend m ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid AND m.deptype = 'e'
       LEFT JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
       LEFT JOIN pg_class r ON r.oid = t.typrelid
      CROSS JOIN LATERAL pg_identify_object(m.classid, m.objid, 0) AS i
      WHERE e.extname = $1 AND NOT coalesce(t.typcategory = 'A' AND t.typtype = 'b' OR r.relkind <> 'c', false)
      ORDER BY 1, 2`,
    [extension],
  );
  return rows;
}

/** Its kind and name without the schemas of extensions, which may differ on the target. */
function titleOf({ type, identity }: Member, schemas: readonly string[]): string {
  const bare = schemas.reduce((text, schema) => {
    const parts = text.split(`${schema}.`);
    return parts.reduce((one, next) => one + (/[\w"$.]$/.test(one) ? `${schema}.` : "") + next);
  }, identity);
  return `${type} ${bare}`;
}

/**
 * Creates it in a transaction that is rolled back. Undefined if it cannot be created in this database, or has another
 * version.
 */
async function membersOnTarget(target: pg.Client, extension: string): Promise<ReadonlySet<string> | undefined> {
  await target.query("BEGIN");
  try {
    await target.query("SET LOCAL search_path = public");
    await target.query(`CREATE EXTENSION IF NOT EXISTS ${quoteIdentifier(extension)} CASCADE`);
    await target.query("SET LOCAL search_path = ''");
    const { rowCount } = await target.query(
      "SELECT FROM pg_available_extensions WHERE name = $1 AND installed_version = default_version",
      [extension],
    );
    if (rowCount === 0) return undefined;
    const schemas = await extensionSchemas(target);
    return new Set((await membersOf(target, extension)).map((member) => titleOf(member, schemas)));
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || isConnectionLoss(error)) throw error;
    return undefined;
  } finally {
    await target.query("ROLLBACK");
  }
}
