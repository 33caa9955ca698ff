import { qualify, type RelationName } from "../postgres/identifiers.js";
import { checkedSchemas, type TargetCheck } from "./target-check.js";

interface Row extends RelationName {
  readonly kind: "TABLE" | "MATERIALIZED VIEW";
}

const query = `
  SELECT n.nspname::text AS schema, c.relname::text AS name, CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END AS kind
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   CROSS JOIN LATERAL pg_catalog.pg_options_to_table(c.reloptions) AS o
   WHERE c.relkind IN ('r', 'm') AND ${checkedSchemas("n")}
     AND CASE o.option_name WHEN 'autovacuum_enabled' THEN NOT o.option_value::boolean ELSE false END
   ORDER BY 1, 2`;

/**
 * PGM-816: tables that autovacuum leaves out.
 *
 * @see https://learn.microsoft.com/en-us/azure/postgresql/troubleshoot/how-to-autovacuum-tuning autovacuum should be on
 */
export const disabledAutovacuum: TargetCheck = async (session) => {
  const { rows } = await session.query<Row>(query);
  return rows.map(({ schema, name, kind }) => ({
    type: "SchemaValidation",
    state: "Warning",
    code: "PGM-816",
    object: `${schema}.${name}`,
    message: "autovacuum leaves the table out, so it grows and its statistics become old",
    remedy: `ALTER ${kind} ${qualify(schema, name)} RESET (autovacuum_enabled)`,
  }));
};
