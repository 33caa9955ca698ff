import type { Client } from "pg";
import { quoteIdentifier } from "../postgres/identifiers.js";
import type { Finding } from "../store/journal.js";
import { enumerate, type Rule } from "./context.js";

/** 603108, 603405: every extension of the source can be created on the target. */
export const extensions: Rule = async ({ sources, target }) => {
  const allowed = await allowList(target);
  const available = await availableExtensions(target);
  const findings: Finding[] = [];
  for (const [database, client] of sources) {
    const used = await usedExtensions(client);
    findings.push(...missing(database, used, available), ...notAllowed(database, used, available, allowed));
    if (allowed === undefined) findings.push(...needSuperuser(database, used, available));
  }
  if (findings.length > 0) return findings;
  return [
    { type: "ExtensionsValidation", state: "Succeeded", objectType: "Instance", message: "every extension is there" },
  ];
};

/** The server parameter azure.extensions in small letters; undefined on a server that is not Azure's. */
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

async function usedExtensions(source: Client): Promise<string[]> {
  const { rows } = await source.query<{ name: string }>(
    "SELECT extname AS name FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY extname",
  );
  return rows.map(({ name }) => name);
}

const failed = (
  database: string,
  code: string,
  names: readonly string[],
  message: string,
  remedy: string,
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
    failed(
      database,
      "603405",
      names,
      `the target does not offer ${enumerate(names)}, which ${database} uses`,
      `on the source, drop what is not needed: ${names.map((name) => `DROP EXTENSION ${quoteIdentifier(name)}`).join("; ")}; or install it on the target`,
    ),
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
    failed(
      database,
      "603108",
      names,
      `the server parameter azure.extensions does not allow ${enumerate(names)}, which ${database} uses`,
      `az postgres flexible-server parameter set --resource-group <group> --server-name <server> --name azure.extensions --value ${list}`,
    ),
  ];
}

function needSuperuser(
  database: string,
  used: readonly string[],
  available: ReadonlyMap<string, { creatable: boolean }>,
): Finding[] {
  const names = used.filter((name) => available.get(name)?.creatable === false);
  if (names.length === 0) return [];
  return [
    failed(
      database,
      "603408",
      names,
      `only a superuser of the target can create ${enumerate(names)}, which ${database} uses`,
      `have a superuser add it to the target's template: CREATE EXTENSION ${quoteIdentifier(names[0]!)} in template1, or name a superuser as target.user`,
    ),
  ];
}
