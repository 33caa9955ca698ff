import type { Client } from "pg";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import type { FindingCode } from "../../finding-codes/finding-code.js";
import type { Finding } from "../../findings.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";
import { usedExtensions } from "./used-extensions.js";

/** 603108, 603405: every extension of the source can be created on the target. */
export const extensions: Rule = async ({ sources, target, spec }) => {
  const allowed = await allowList(target);
  const available = await availableExtensions(target);
  const findings: Finding[] = [];
  for (const [database, client] of sources) {
    const all = (await usedExtensions(client, spec)).map(({ name }) => name);
    const used = all.filter((name) => !serviceExtensions.has(name));
    findings.push(
      ...ofService(
        database,
        all.filter((name) => serviceExtensions.has(name)),
      ),
    );
    findings.push(...missing(database, used, available), ...notAllowed(database, used, available, allowed));
    const tried = used.filter((name) => allowed?.has(name) !== false && available.get(name)?.creatable === false);
    const refused = await refusedExtensions(target, allowed === undefined ? [] : tried);
    findings.push(...(await notCreatable(database, client, allowed === undefined ? tried : refused)));
  }
  if (findings.length > 0) return findings;
  return [
    {
      type: "ExtensionsValidation",
      state: "Succeeded",
      objectType: "Instance",
      message: "every extension is available",
    },
  ];
};

/** The server parameter azure.extensions in lower case; undefined on a server outside Azure. */
async function allowList(target: Client): Promise<ReadonlySet<string> | undefined> {
  const { rows } = await target.query<{ list: string | null }>(
    "SELECT current_setting('azure.extensions', true) AS list",
  );
  const list = rows[0]?.list ?? undefined;
  return list === undefined ? undefined : new Set(list.split(",").map((name) => name.trim().toLowerCase()));
}

async function availableExtensions(target: Client): Promise<ReadonlyMap<string, { creatable: boolean }>> {
  const { rows } = await target.query<{ name: string; creatable: boolean }>(
    `SELECT name, bool_or(coalesce((to_jsonb(v) ->> 'trusted')::bool, false) OR NOT superuser OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)) AS creatable
       FROM pg_available_extension_versions v GROUP BY name`,
  );
  return new Map(rows.map(({ name, creatable }) => [name, { creatable }]));
}

/** Extensions of every flexible server, which its administrator may neither drop nor create. */
const serviceExtensions: ReadonlySet<string> = new Set(["azure", "pgaadauth"]);

function ofService(database: string, names: readonly string[]): Finding[] {
  if (names.length === 0) return [];
  return [
    {
      ...{ database, type: "ExtensionsValidation", objectType: "Database", object: names[0] },
      ...{ state: "Warning", code: "PGM-447" },
      message: `these extensions of ${database} belong to the source's service, and are left out: ${enumerate(names)}`,
      remedy: `none needed; exclude them to remove this finding: exclude: { extensions: ${JSON.stringify(names)} }`,
    },
  ];
}

const failed = (
  database: string,
  code: FindingCode,
  names: readonly string[],
  { message, remedy }: Pick<Finding, "message" | "remedy">,
): Finding => ({
  database,
  type: "ExtensionsValidation",
  state: "Failed",
  code,
  object: enumerate(names),
  objectType: "Database",
  message,
  remedy,
});

function missing(database: string, used: readonly string[], available: ReadonlyMap<string, unknown>): Finding[] {
  const names = used.filter((name) => !available.has(name));
  if (names.length === 0) return [];
  return [
    failed(database, "603405", names, {
      message: `the target does not offer ${enumerate(names)}, which ${database} uses`,
      remedy: `on the source, drop the extensions that are not needed: ${names.map((name) => `DROP EXTENSION ${quoteIdentifier(name)}`).join("; ")}; or install them on the target`,
    }),
  ];
}

function notAllowed(
  database: string,
  used: readonly string[],
  available: ReadonlyMap<string, unknown>,
  allowed: ReadonlySet<string> | undefined,
): Finding[] {
  if (!allowed) return [];
  const names = used.filter((name) => available.has(name) && !allowed.has(name));
  if (names.length === 0) return [];
  const list = [...allowed, ...names].filter(Boolean).join(",").toUpperCase();
  return [
    failed(database, "603108", names, {
      message: `the server parameter azure.extensions does not allow ${enumerate(names)}, which ${database} uses`,
      remedy: `az postgres flexible-server parameter set --resource-group <group> --server-name <server> --name azure.extensions --value ${list}`,
    }),
  ];
}

/**
 * Extensions that the target does not let this role create. Azure lets its administrator create extensions that the
 * catalogue reserves for superusers. Therefore creation is tried in a transaction that is rolled back.
 */
async function refusedExtensions(target: Client, names: readonly string[]): Promise<string[]> {
  const refused: string[] = [];
  for (const name of names) {
    await target.query("BEGIN; SET LOCAL search_path = public");
    try {
      await target.query(`CREATE EXTENSION IF NOT EXISTS ${quoteIdentifier(name)} CASCADE`);
    } catch (error) {
      // Other refusals concern this database, and not the database of the migration.
      if (sqlStateOf(error) === sqlStates.insufficientPrivilege) refused.push(name);
    } finally {
      await target.query("ROLLBACK");
    }
  }
  return refused;
}

/** An extension that no object needs is a warning (pg_stat_statements); others would fail later. */
async function notCreatable(database: string, source: Client, names: readonly string[]): Promise<Finding[]> {
  if (names.length === 0) return [];
  const { rows } = await source.query<{ name: string }>(
    `SELECT e.extname AS name FROM pg_extension e WHERE e.extname = ANY ($1)
        AND (EXISTS (SELECT FROM pg_extension o JOIN pg_depend d ON d.classid = 'pg_extension'::regclass AND d.objid = o.oid
                      WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND o.extname <> ALL ($1))
             OR EXISTS (SELECT FROM pg_depend m
                          JOIN pg_depend u ON u.refclassid = m.classid AND u.refobjid = m.objid AND u.deptype IN ('n', 'a')
                         WHERE m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid AND m.deptype = 'e'
                           AND NOT EXISTS (SELECT FROM pg_depend own WHERE own.classid = u.classid AND own.objid = u.objid
                                              AND own.deptype = 'e')
                           AND NOT EXISTS (SELECT FROM pg_depend inner_part JOIN pg_depend own
                                                ON own.classid = inner_part.refclassid AND own.objid = inner_part.refobjid
                                               AND own.deptype = 'e'
                                            WHERE inner_part.classid = u.classid AND inner_part.objid = u.objid
                                              AND inner_part.deptype IN ('i', 'a'))))`,
    [names],
  );
  const needed = rows.map(({ name }) => name);
  const unneeded = names.filter((name) => !needed.includes(name));
  const list = (some: readonly string[]): string => JSON.stringify(some);
  const common = { database, type: "ExtensionsValidation", code: "PGM-429", objectType: "Database" } as const;
  return [
    ...(needed.length === 0
      ? []
      : [
          {
            ...common,
            state: "Failed" as const,
            object: enumerate(needed),
            message: `only a superuser of the target can create ${enumerate(needed)}, which ${database} uses`,
            remedy: `set target.user to a superuser, if the target has one, or exclude it with the objects that need it: exclude: { extensions: ${list(needed)} }`,
          },
        ]),
    ...(unneeded.length === 0
      ? []
      : [
          {
            ...common,
            state: "Warning" as const,
            object: enumerate(unneeded),
            message: `only a superuser of the target can create ${enumerate(unneeded)}: left out, because no object of ${database} needs it`,
            remedy: `let a superuser create it on the target if it is wanted, or exclude: { extensions: ${list(unneeded)} }`,
          },
        ]),
  ];
}
