import type { Client } from "pg";
import type { Rule, ValidationContext } from "../context.js";
import type { Finding } from "../../findings.js";
import { enumerate } from "../../units/enumerate.js";
import { usedExtensions } from "./used-extensions.js";

/** Libraries of extensions. `required`: CREATE EXTENSION fails if the server has not loaded the library. */
const libraries: Readonly<Record<string, { readonly library: string; readonly required?: true }>> = {
  age: { library: "age" },
  pg_cron: { library: "pg_cron", required: true },
  pg_hint_plan: { library: "pg_hint_plan" },
  pg_partman: { library: "pg_partman_bgw" },
  pg_prewarm: { library: "pg_prewarm" },
  pg_squeeze: { library: "pg_squeeze" },
  pg_stat_statements: { library: "pg_stat_statements" },
  pgaudit: { library: "pgaudit", required: true },
  pglogical: { library: "pglogical", required: true },
  timescaledb: { library: "timescaledb", required: true },
};

/** 603109: the target has loaded the libraries that the extensions of the source need. */
export const preloadLibraries: Rule = async (context) => {
  const { sources, target, spec } = context;
  const loaded = await loadedLibraries(target);
  // Only members of pg_read_all_settings may read the parameter.
  if (loaded === undefined || spec.dataOnly) return [];
  const findings: Finding[] = [];
  for (const [database, source] of sources) {
    const missing = (await neededExtensions(context, source)).filter((name) => !loaded.has(libraries[name]!.library));
    if (missing.length === 0) continue;
    const list = [...loaded, ...new Set(missing.map((name) => libraries[name]!.library))].join(",");
    findings.push({
      ...{ database, type: "ExtensionsValidation", objectType: "Database", object: missing[0], code: "603109" },
      state: missing.some((name) => libraries[name]!.required) ? "Failed" : "Warning",
      message: `shared_preload_libraries of the target lacks the libraries of extensions that ${database} uses: ${enumerate(missing, 20)}`,
      remedy: `az postgres flexible-server parameter set --resource-group <group> --server-name <server> --name shared_preload_libraries --value ${list}, then restart the target; elsewhere ALTER SYSTEM SET shared_preload_libraries`,
    });
  }
  return findings;
};

/** Extensions of the source that the target offers, if they require their library or the source has loaded it. */
async function neededExtensions({ target, spec }: ValidationContext, source: Client): Promise<string[]> {
  const used = (await usedExtensions(source, spec)).map(({ name }) => name);
  const { rows: offered } = await target.query<{ name: string }>("SELECT name FROM pg_available_extensions");
  const available = new Set(offered.map(({ name }) => name));
  const loaded = await loadedLibraries(source);
  return used
    .filter((name) => Object.hasOwn(libraries, name) && available.has(name))
    .filter((name) => libraries[name]!.required ?? loaded?.has(libraries[name]!.library) ?? true);
}

/** Undefined if this role may not read the parameter. */
async function loadedLibraries(session: Client): Promise<ReadonlySet<string> | undefined> {
  const { rows } = await session.query<{ list: string }>(
    "SELECT setting AS list FROM pg_settings WHERE name = 'shared_preload_libraries'",
  );
  const list = rows[0]?.list.split(",").map((name) => name.trim().replaceAll('"', ""));
  return list && new Set(list.filter(Boolean));
}
