import { userSchemas } from "../../postgres/catalogue-filters.js";
import type { Finding } from "../../findings.js";
import { readSelection } from "../../schema/plan/selection.js";
import { enumerate } from "../../units/enumerate.js";
import type { SourceRule } from "../context.js";

interface Package {
  readonly name: string;
  /** The {@link catalogueKey} of its schema. */
  readonly key: string;
}

/** Packages of EDB Postgres Advanced Server (CREATE PACKAGE). PostgreSQL has no such objects. */
export const forkPackages: SourceRule = async ({ sources, spec }) => {
  const findings: Finding[] = [];
  for (const [database, source] of sources) {
    const { cut } = await readSelection(source, spec);
    const { rows } = await source.query<Package>(packagesQuery);
    const names = rows.filter(({ key }) => !cut.has(key)).map(({ name }) => name);
    if (names.length === 0) continue;
    findings.push({
      ...{ database, type: "SchemaValidation", objectType: "Database", object: names[0] },
      ...{ state: "Warning", code: "PGM-448" },
      message: `PostgreSQL has no packages, so these are not migrated as packages: ${enumerate(names, 20)}`,
      remedy:
        "create a schema of the same name with functions and procedures on the target, and test the applications that call the packages",
    });
  }
  return findings;
};

/**
 * EDB's pg_namespace also has packages, as children of their schemas. On other servers, the columns `nspparent`,
 * `nspobjecttype` and `nspcompoundtrigger` do not exist. Packages of EDB itself have lower OIDs.
 */
const packagesQuery = `
  SELECT format('%I.%I', n.nspname, p.nspname) AS name, 'pg_namespace'::regclass::oid || '/' || n.oid AS key
    FROM pg_namespace p CROSS JOIN LATERAL to_jsonb(p) AS facts
    JOIN pg_namespace n ON n.oid = (facts ->> 'nspparent')::oid
   WHERE facts ->> 'nspobjecttype' = '0' AND facts ->> 'nspcompoundtrigger' IS DISTINCT FROM 'true'
     AND p.oid >= 16384 AND ${userSchemas("n")}
   ORDER BY 1`;
