import type { Client } from "pg";
import type { TableMapping } from "../binding/table-mapping.js";
import type { KeyColumn, KeyType, TableDivision } from "./division.js";

/** A unique or exclusion constraint of a table, or a unique index. */
interface Constraint {
  readonly columns: readonly (string | null)[];
  /** Whether it compares complete columns by PostgreSQL's own equality, for each row immediately. */
  readonly isPlain: boolean;
}

interface TableFacts {
  readonly name: string;
  /** Whether a trigger or a rule fires for applied changes. */
  readonly fires: boolean;
  readonly isPlainTable: boolean;
  readonly constraints: readonly Constraint[] | null;
}

/** What each table of a session allows. `session` is still missing for tables that one session applies. */
export type PossibleDivision = Exclude<TableDivision, { by: "table" }> | { readonly by: "table" };

const keyTypes: ReadonlyMap<string, KeyType> = new Map([
  ...(["int2", "int4", "int8"] as const).map((type) => [type, "integer"] as const),
  ...(["text", "varchar"] as const).map((type) => [type, "text"] as const),
  ["uuid", "uuid"],
]);

/**
 * Reads how the changes of tables may be divided:
 *
 * - by key, if the key is the table's only constraint between rows, and its values have one text form
 * - by transaction, if the stream has only inserts, and no constraint concerns several rows
 * - otherwise not within the table
 *
 * The result has no table with a trigger or rule that fires for applied changes, because it may write to other tables.
 *
 * @param triggersDisabled whether the session does not set session_replication_role, so that ordinary triggers fire as well
 */
export async function readTableDivisions(
  target: Client,
  tables: readonly TableMapping[],
  triggersDisabled: boolean,
): Promise<Map<string, PossibleDivision>> {
  const { rows } = await target.query<TableFacts>(
    `SELECT wanted.name, c.relkind = 'r' AS "isPlainTable",
            EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgenabled <> 'D' AND ($2 OR tgenabled IN ('A', 'R')))
              OR EXISTS (SELECT FROM pg_rewrite
                          WHERE ev_class = c.oid AND ev_enabled <> 'D' AND ($2 OR ev_enabled IN ('A', 'R'))) AS fires,
            (SELECT json_agg(json_build_object(
                      'columns', (SELECT json_agg(a.attname ORDER BY k.position)
                                    FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position)
                                    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                                   WHERE k.position <= cardinality(i.indclass::oid[])),
                      'isPlain', i.indisunique AND i.indimmediate AND i.indisvalid
                                 AND i.indpred IS NULL AND i.indexprs IS NULL
                                 AND NOT EXISTS (SELECT FROM pg_opclass o
                                                  WHERE o.oid = ANY (i.indclass::oid[])
                                                    AND o.opcnamespace <> 'pg_catalog'::regnamespace)
                                 AND NOT EXISTS (SELECT FROM pg_collation l
                                                  WHERE l.oid = ANY (i.indcollation::oid[])
                                                    AND to_jsonb(l) ->> 'collisdeterministic' = 'false')))
               FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)) AS constraints
       FROM unnest($1::text[]) AS wanted (name) JOIN pg_class c ON c.oid = wanted.name::regclass`,
    [tables.map(({ name }) => name), triggersDisabled],
  );
  const facts = new Map(rows.map((row) => [row.name, row]));
  return new Map(
    tables.flatMap((table) => {
      const known = facts.get(table.name);
      return known && !known.fires ? [[table.name, possibleDivision(table, known)]] : [];
    }),
  );
}

function possibleDivision(table: TableMapping, { isPlainTable, constraints }: TableFacts): PossibleDivision {
  if (!isPlainTable) return { by: "table" };
  if (!table.keyed) {
    const hasOnlyInserts = table.relation.replicaIdentity !== "f" && constraints === null;
    return { by: hasOnlyInserts ? "transaction" : "table" };
  }
  const key = table.key.flatMap((field) => keyColumn(table, field) ?? []);
  const [only, ...others] = constraints ?? [];
  const isOnlyConstraint = only?.isPlain === true && others.length === 0 && hasSameColumns(only, key);
  if (!isOnlyConstraint || key.length < table.key.length) return { by: "table" };
  return { by: "key", columns: key };
}

function keyColumn({ columns }: TableMapping, field: number): KeyColumn | undefined {
  const { name, baseType, baseTypeSchema } = columns[field]!;
  const type = baseTypeSchema === "pg_catalog" ? keyTypes.get(baseType) : undefined;
  return type && { name, type };
}

const hasSameColumns = ({ columns }: Constraint, key: readonly KeyColumn[]): boolean =>
  columns.length === key.length && key.every(({ name }) => columns.includes(name));
