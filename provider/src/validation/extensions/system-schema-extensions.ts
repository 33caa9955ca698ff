import type { Client } from "pg";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { readSelection } from "../../schema/plan/selection.js";
import type { Finding } from "../../findings.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";

/**
 * 603407: extensions in PostgreSQL's own schemas. Only a superuser of the target may create them there, unless the extension
 * itself requires that schema.
 */
export const systemSchemaExtensions: Rule = async ({ sources, target, targetSuperuser, spec }) => {
  if (targetSuperuser || spec.dataOnly) return [];
  const findings: Finding[] = [];
  for (const [database, source] of sources) {
    const { cut } = await readSelection(source, spec);
    const { rows } = await source.query<{ name: string; schema: string; key: string }>(
      `SELECT e.extname AS name, n.nspname AS schema, 'pg_extension'::regclass::oid || '/' || e.oid AS key
         FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE n.nspname IN ('pg_catalog', 'information_schema') AND e.extname <> 'plpgsql' ORDER BY 1`,
    );
    const fixed = await fixedSchemas(target);
    const names = rows
      .filter(({ name, schema, key }) => !cut.has(key) && fixed.get(name) !== schema)
      .map(({ name }) => name);
    if (names.length === 0) continue;
    findings.push({
      ...{ database, type: "ExtensionsValidation", objectType: "Database", object: names[0] },
      ...{ state: "Failed", code: "603407" },
      message: `extensions of ${database} are in a system schema, where the target does not let ${spec.target.user} create them: ${enumerate(names, 20)}`,
      remedy: `create them in another schema on the source: ${names
        .slice(0, 5)
        .map((name) => `ALTER EXTENSION ${quoteIdentifier(name)} SET SCHEMA public`)
        .join("; ")}; or exclude them: exclude: { extensions: ${JSON.stringify(names)} }`,
    });
  }
  return findings;
};

/** Schemas that extensions require by themselves. */
async function fixedSchemas(target: Client): Promise<ReadonlyMap<string, string | null>> {
  const { rows } = await target.query<{ name: string; schema: string | null }>(
    `SELECT e.name, v.schema FROM pg_available_extensions e
       JOIN pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version`,
  );
  return new Map(rows.map(({ name, schema }) => [name, schema]));
}
