import { qualify, type RelationName } from "../postgres/identifiers.js";
import { checkedSchemas, type TargetCheck } from "./target-check.js";

/**
 * A parent has rows if one of its partitions has some. VACUUM and CREATE INDEX count rows without collecting statistics, so
 * the number of rows proves nothing. Statistics of tables that the role may not read are invisible.
 */
const query = `
  WITH RECURSIVE filled AS (
    SELECT oid FROM pg_catalog.pg_class
     WHERE relkind IN ('r', 'm') AND (reltuples > 0 OR pg_catalog.pg_stat_get_live_tuples(oid) > 0)
    UNION
    SELECT i.inhparent FROM filled JOIN pg_catalog.pg_inherits i ON i.inhrelid = filled.oid
  )
  SELECT n.nspname::text AS schema, c.relname::text AS name
    FROM filled JOIN pg_catalog.pg_class c ON c.oid = filled.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'm', 'p') AND ${checkedSchemas("n")}
     AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AND NOT pg_catalog.row_security_active(c.oid)
     AND pg_catalog.pg_stat_get_last_analyze_time(c.oid) IS NULL
     AND pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid) IS NULL
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname)
   ORDER BY 1, 2`;

/** PGM-811: tables with rows, but without the statistics that the planner needs. */
export const missingStatistics: TargetCheck = async (session) => {
  const { rows } = await session.query<RelationName>(query);
  return rows.map(({ schema, name }) => ({
    type: "SchemaValidation",
    state: "Warning",
    code: "PGM-811",
    object: `${schema}.${name}`,
    message: "the table has rows, but no statistics, so the planner may choose slow plans",
    remedy: `ANALYZE ${qualify(schema, name)}`,
  }));
};
