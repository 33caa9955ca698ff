import type { Finding } from "../../findings.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";

/** User mappings whose options, such as passwords, the source does not show to this role. */
export const userMappings: Rule = async ({ sources, sourceSuperuser, spec }) => {
  if (sourceSuperuser || spec.dataOnly) return [];
  const findings: Finding[] = [];
  for (const [database, source] of sources) {
    const { rows } = await source.query<{ name: string }>(
      "SELECT format('%I on server %I', usename, srvname) AS name FROM pg_user_mappings WHERE umoptions IS NULL ORDER BY 1",
    );
    if (rows.length === 0) continue;
    const names = rows.map(({ name }) => name);
    findings.push({
      ...{ database, type: "SchemaValidation", objectType: "Database", object: names[0] },
      ...{ state: "Warning", code: "PGM-446" },
      message: `${spec.source.user} may not read the options of user mappings in ${database}, which are migrated without them: ${enumerate(names, 20)}`,
      remedy:
        "after the migration, on the target: ALTER USER MAPPING FOR <role> SERVER <server> OPTIONS (ADD password '...'); or connect to the source as a superuser",
    });
  }
  return findings;
};
