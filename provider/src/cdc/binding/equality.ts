import type { Client } from "pg";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import type { Column } from "../../postgres/tables.js";

/** The built-in operator, independent of the search_path and of operators that users created. */
export const builtInEquality = "OPERATOR(pg_catalog.=)";

/**
 * The equality operator that an index on each column supports. Under the empty search_path, a plain `=` does not find the
 * operator of an extension's type (citext). PostgreSQL would then cast the values and use the `=` of another type, which no
 * index on the column supports.
 */
export async function equalityOperators(target: Client, columns: readonly Column[]): Promise<string[]> {
  if (columns.every(({ baseTypeSchema }) => baseTypeSchema === "pg_catalog")) return columns.map(() => builtInEquality);
  const { rows } = await target.query<{ place: string; schema: string | null; operator: string | null }>(
    `SELECT wanted.place, operators.schema, operators.operator
       FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (schema, name, place)
       LEFT JOIN LATERAL (
         SELECT opn.nspname AS schema, o.oprname AS operator
           FROM pg_type t
           JOIN pg_namespace n ON n.oid = t.typnamespace
           JOIN pg_opclass c ON c.opcintype = t.oid AND c.opcdefault
           JOIN pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'
           JOIN pg_amop a ON a.amopfamily = c.opcfamily AND a.amopstrategy = 3
                         AND a.amoplefttype = t.oid AND a.amoprighttype = t.oid
           JOIN pg_operator o ON o.oid = a.amopopr
           JOIN pg_namespace opn ON opn.oid = o.oprnamespace
          WHERE n.nspname = wanted.schema AND t.typname = wanted.name
       ) AS operators ON true
      ORDER BY wanted.place`,
    [columns.map(({ baseTypeSchema }) => baseTypeSchema), columns.map(({ baseType }) => baseType)],
  );
  return rows.map(({ schema, operator }) =>
    schema === null || operator === null ? builtInEquality : `OPERATOR(${quoteIdentifier(schema)}.${operator})`,
  );
}
