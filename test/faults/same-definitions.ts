import assert from "node:assert/strict";
import type { Place } from "../support/content";

/**
 * Fails unless both databases have the same columns, constraints, indexes, triggers and statistics objects, all of them
 * valid.
 */
export async function assertSameDefinitions(source: Place, target: Place): Promise<void> {
  const [expected, actual] = await Promise.all([definitions(source), definitions(target)]);
  assert.deepEqual(actual, expected);
}

async function definitions({ server, database, login }: Place): Promise<string[]> {
  const rows = await server.query<{ definition: string }>(
    `SET search_path = '';
     SELECT format('column %s.%I %s %s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull,
                   pg_get_expr(adbin, adrelid)) AS definition
       FROM pg_attribute JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
      WHERE ${isUsers("relnamespace")} AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
      UNION ALL
     SELECT format('constraint %s on %s %s %s', conname, conrelid::regclass, convalidated, pg_get_constraintdef(oid))
       FROM pg_constraint WHERE ${isUsers("connamespace")} AND contype <> 'n'
      UNION ALL
     SELECT format('index %s %s', pg_get_indexdef(indexrelid), indisvalid AND indisready)
       FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE ${isUsers("relnamespace")}
      UNION ALL
     SELECT format('trigger %s %s', replace(pg_get_triggerdef(oid), 'EXECUTE PROCEDURE', 'EXECUTE FUNCTION'), tgenabled)
       FROM pg_trigger WHERE NOT tgisinternal
      UNION ALL
     SELECT format('statistics %s', pg_get_statisticsobjdef(oid)) FROM pg_statistic_ext
      ORDER BY 1`,
    { database, ...(login ? { login } : {}) },
  );
  return rows.map(({ definition }) => definition);
}

const isUsers = (schema: string): string =>
  `${schema}::regnamespace::text !~ '^"?(pg_|pgmigration|information_schema)'`;
