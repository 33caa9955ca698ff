import type { Client } from "pg";
import { qualify, quoteIdentifier, quoteLiteral, type RelationName } from "../postgres/identifiers.js";
import { whileLocked } from "../postgres/locks/while-locked.js";
import { checkedSchemas, type TargetCheck } from "./target-check.js";

interface Candidate extends RelationName {
  readonly tableSchema: string;
  readonly table: string;
  readonly column: string;
  readonly increment: string;
  /** The largest value of the column that ANALYZE saw. */
  readonly largest: string;
}

/**
 * The statistics have the largest value without reading the table, whose policies may call functions of users. A column
 * is an integer, so its values as text are integers.
 */
const query = `
  WITH used AS (
    SELECT objid AS sequence, refobjid AS relation, refobjsubid AS number FROM pg_catalog.pg_depend
     WHERE classid = 'pg_catalog.pg_class'::regclass AND refclassid = 'pg_catalog.pg_class'::regclass
       AND deptype IN ('a', 'i') AND refobjsubid > 0
    UNION
    SELECT d.refobjid, a.adrelid, a.adnum FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attrdef a ON a.oid = d.objid
     WHERE d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
  ), known AS (
    SELECT sn.nspname::text AS schema, sc.relname::text AS name, n.nspname::text AS "tableSchema", c.relname::text AS "table",
           a.attname::text AS column, q.seqincrement::text AS increment, q.seqstart AS start,
           CASE WHEN a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
                THEN (SELECT pg_catalog.max(value::int8) FROM pg_catalog.unnest(s.histogram_bounds::text::text[]) AS value)
           END AS largest
      FROM used u JOIN pg_catalog.pg_sequence q ON q.seqrelid = u.sequence AND q.seqincrement > 0 AND NOT q.seqcycle
      JOIN pg_catalog.pg_class sc ON sc.oid = u.sequence JOIN pg_catalog.pg_namespace sn ON sn.oid = sc.relnamespace
      JOIN pg_catalog.pg_class c ON c.oid = u.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number
      JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
     WHERE ${checkedSchemas("sn")} AND CASE sc.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(sc.oid, 'SELECT') END
       AND pg_catalog.has_schema_privilege(sn.oid, 'USAGE')
  )
  SELECT schema, name, "tableSchema", "table", "column", increment, pg_catalog.max(largest)::text AS largest
    FROM known WHERE largest >= start GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5`;

/** PGM-815: sequences that will return values which their column has already. */
export const lateSequences: TargetCheck = async (session) => {
  const { rows } = await session.query<Candidate>(query);
  const problems = [];
  for (const one of rows) {
    const next = await nextValue(session, one);
    if (next > BigInt(one.largest)) continue;
    const column = `${one.tableSchema}.${one.table}.${one.column}`;
    problems.push({
      type: "SchemaValidation",
      state: "Warning",
      code: "PGM-815",
      object: `${one.schema}.${one.name}`,
      message: `the sequence returns ${next} next, but ${column} had ${one.largest} at its last ANALYZE`,
      remedy: advance(one),
    } as const);
  }
  return problems;
};

/** Never moves the sequence backwards: several columns may use it, and rows may have been deleted. */
function advance({ schema, name, tableSchema, table, column }: Candidate): string {
  const sequence = qualify(schema, name);
  const largest = `SELECT max(${quoteIdentifier(column)}) FROM ${qualify(tableSchema, table)}`;
  return `SELECT pg_catalog.setval(${quoteLiteral(sequence)}, greatest((${largest}), (SELECT last_value FROM ${sequence})))`;
}

async function nextValue(session: Client, { schema, name, increment }: Candidate): Promise<bigint> {
  const query = `SELECT last_value::text AS last, is_called AS called FROM ${qualify(schema, name)}`;
  const { rows } = await whileLocked(session, [{ schema, name }], "sequence", () =>
    session.query<{ last: string; called: boolean }>(query),
  );
  const { last, called } = rows[0]!;
  return BigInt(last) + (called ? BigInt(increment) : 0n);
}
