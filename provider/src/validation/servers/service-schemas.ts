import { patternExpression } from "../../inputs/filter.js";
import type { Finding } from "../../findings.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";

/**
 * PGM-213: schemas that the source's service creates for itself. The target does not have the service, and the source's role
 * often may not read them.
 */
export const serviceSchemas: Rule = async ({ spec, sources, sourcePlatform: { name, systemSchemas } }) => {
  const findings: Finding[] = [];
  const excluded = (spec.exclude.schemas ?? []).map((pattern) => new RegExp(patternExpression(pattern)));
  const included = spec.include.schemas?.map((pattern) => new RegExp(patternExpression(pattern)));
  for (const [database, client] of sources) {
    const { rows } = await client.query<{ schema: string }>(
      "SELECT nspname AS schema FROM pg_namespace WHERE nspname = ANY ($1) ORDER BY 1",
      [systemSchemas],
    );
    const schemas = rows
      .map(({ schema }) => schema)
      .filter((schema) => included?.some((one) => one.test(schema)) ?? true)
      .filter((schema) => !excluded.some((one) => one.test(schema)));
    if (schemas.length === 0) continue;
    findings.push({
      ...{ database, type: "SchemaValidation", objectType: "Database", state: "Warning", code: "PGM-213" },
      object: schemas[0],
      message: `${name} created these schemas for itself: ${enumerate(schemas)}`,
      remedy: `unless your objects use them, exclude: { schemas: ${JSON.stringify(schemas)} }`,
    });
  }
  return findings;
};
