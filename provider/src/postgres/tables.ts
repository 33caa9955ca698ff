import { qualify } from "./identifiers.js";
import type { Client } from "pg";
import { serverVersion } from "./server-version.js";

export interface Column {
  readonly name: string;
  /** As `format_type` prints it under an empty search_path: `character varying(15)`, `public."Name"`. */
  readonly type: string;
  readonly typeOid: number;
  /** pg_attribute.atttypmod: -1 without one. */
  readonly typeModifier: number;
  /**
   * The base type of a domain, otherwise the type itself: schema and name in pg_type (`pg_catalog`, `_float8`), and its
   * kind (pg_type.typtype).
   */
  readonly baseTypeSchema: string;
  readonly baseType: string;
  readonly baseTypeKind: string;
  /** For an array, the base type of its elements in the same form; otherwise undefined. */
  readonly element: { readonly schema: string; readonly name: string; readonly kind: string } | undefined;
  readonly notNull: boolean;
  /** Computed by the server when a row is written or read: never part of COPY, INSERT or UPDATE. */
  readonly generated: "stored" | "virtual" | undefined;
  /** GENERATED ALWAYS AS IDENTITY, BY DEFAULT, or no identity column. */
  readonly identity: "always" | "default" | undefined;
}

export type ReplicaIdentity = "default" | "index" | "full" | "nothing";

/** An ordinary table, or a partitioned one, which holds no rows itself. */
export interface Table {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly partitioned: boolean;
  /** The direct parent, for a partition. */
  readonly partitionOf: { readonly schema: string; readonly name: string } | undefined;
  readonly unlogged: boolean;
  /** The composite type of a typed table, as `format_type` prints it. */
  readonly ofType: string | undefined;
  /** pg_class.reltuples; -1 or 0 before the first ANALYZE. */
  readonly estimatedRows: number;
  /** In the order of their attribute numbers, without dropped columns. */
  readonly columns: readonly Column[];
  /** Columns of the primary key in key order; empty without a primary key, or if it is deferrable. */
  readonly primaryKey: readonly string[];
  readonly replicaIdentity: ReplicaIdentity;
  /**
   * The columns that identify an old row in the stream: primary key, index, or all columns (`full`); empty if there are
   * none.
   */
  readonly identityColumns: readonly string[];
  /** A table of an extension whose rows pg_dump includes (pg_extension.extconfig). */
  readonly extensionConfiguration: boolean;
}

export interface SizedTable extends Table {
  readonly heapBytes: number;
  readonly toastBytes: number;
}

/** The columns that are stored and therefore can be copied, in order. */
export const storedColumns = (table: Table): readonly Column[] => table.columns.filter((column) => !column.generated);

/**
 * Lists all tables created by users, in one query, sorted by schema and name. It reads only the catalogue, so that no
 * lock on a table (VACUUM FULL, ALTER TABLE) makes it wait.
 */
export async function listTables(client: Client): Promise<Table[]> {
  const version = await serverVersion(client);
  const { rows } = await client.query<{ tables: Table[] | null }>(tablesQuery(version));
  return (rows[0]?.tables ?? []).map((table) => ({
    ...table,
    partitionOf: table.partitionOf ?? undefined,
    ofType: table.ofType ?? undefined,
    columns: table.columns.map((column) => ({
      ...column,
      element: column.element ?? undefined,
      generated: column.generated ?? undefined,
      identity: column.identity ?? undefined,
    })),
  }));
}

/**
 * Tables with their size on disk. The server can only measure a table with an ACCESS SHARE lock. The size of a table that
 * another session has locked, or waits to lock, is that of its last VACUUM or ANALYZE.
 *
 * @param isWanted which tables; all by default
 */
export async function listSizedTables(
  client: Client,
  isWanted: (table: Table) => boolean = () => true,
): Promise<SizedTable[]> {
  const tables = (await listTables(client)).filter(isWanted);
  const { rows } = await client.query<{ oid: string; heap: string; toast: string }>(
    `SELECT oid::int8,
            CASE WHEN is_locked THEN relpages * current_setting('block_size')::int8 ELSE pg_relation_size(oid) END AS heap,
            CASE WHEN is_locked OR reltoastrelid = 0 THEN 0 ELSE pg_relation_size(reltoastrelid) END AS toast
       FROM (SELECT oid, relpages, reltoastrelid, oid IN (
                SELECT relation FROM pg_locks
                 WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND pid IS DISTINCT FROM pg_backend_pid()
                   AND database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())) AS is_locked
               FROM pg_class WHERE oid = ANY ($1) AND relkind = 'r' OFFSET 0) AS one`,
    [tables.map(({ oid }) => oid)],
  );
  const sizes = new Map(
    rows.map(({ oid, heap, toast }) => [Number(oid), { heap: Number(heap), toast: Number(toast) }]),
  );
  return tables.map((table) => {
    const { heap, toast } = sizes.get(table.oid) ?? { heap: 0, toast: 0 };
    return { ...table, heapBytes: heap, toastBytes: toast };
  });
}

/**
 * Adds the partitioned tables that tables are partitions of: a foreign key of a partition may belong to one, or reference it.
 *
 * @param partitions tables, qualified and quoted, as is the result
 */
export function withPartitionedTables(tables: readonly Table[], partitions: Iterable<string>): Set<string> {
  const parents = new Map(
    tables.flatMap(({ schema, name, partitionOf }) =>
      partitionOf ? [[qualify(schema, name), qualify(partitionOf.schema, partitionOf.name)]] : [],
    ),
  );
  const all = new Set(partitions);
  // A set also visits what is added during its iteration.
  for (const one of all) {
    const parent = parents.get(one);
    if (parent !== undefined) all.add(parent);
  }
  return all;
}

function tablesQuery(version: number): string {
  // A lookup per table. A list of all keys would be scanned once for each of thousands of tables.
  const keyColumns = (which: "indisprimary" | "indisreplident"): string => `(
    SELECT json_agg(a.attname ORDER BY k.position)
      FROM pg_index i
      CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position)
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
     -- A deferrable key can have two rows for a moment, so the stream does not identify rows by it.
     WHERE i.indrelid = c.oid AND i.${which} AND i.indimmediate
       AND k.position <= ${version >= 110000 ? "i.indnkeyatts" : "i.indnatts"})`;
  const isPartition = version >= 100000 ? "c.relispartition" : "false";
  return `
SELECT json_agg(json_build_object(
         'oid', c.oid::int8,
         'schema', n.nspname,
         'name', c.relname,
         'partitioned', c.relkind = 'p',
         'partitionOf', CASE WHEN ${isPartition} THEN (
            SELECT json_build_object('schema', pn.nspname, 'name', p.relname)
              FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
             WHERE h.inhrelid = c.oid) END,
         'unlogged', c.relpersistence = 'u',
         'ofType', CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END,
         'estimatedRows', c.reltuples,
         'columns', coalesce(cl.columns, '[]'),
         'primaryKey', coalesce(${keyColumns("indisprimary")}, '[]'),
         'replicaIdentity', CASE c.relreplident WHEN 'd' THEN 'default' WHEN 'i' THEN 'index'
                                                WHEN 'f' THEN 'full' ELSE 'nothing' END,
         'identityColumns', coalesce(CASE c.relreplident
            WHEN 'd' THEN ${keyColumns("indisprimary")}
            WHEN 'i' THEN ${keyColumns("indisreplident")}
            WHEN 'f' THEN to_json(cl.names) END, '[]'),
         'extensionConfiguration', x.extension IS NOT NULL
       ) ORDER BY n.nspname, c.relname) AS tables
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (${columnsQuery(version)}) cl
  LEFT JOIN (SELECT pg_catalog.unnest(extconfig) AS oid, oid AS extension FROM pg_extension) x ON x.oid = c.oid
 WHERE c.relkind IN ('r', 'p')
   AND c.relpersistence <> 't'
   AND n.nspname !~ '^pg_(toast|temp)' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgmigration')
   AND (x.extension IS NOT NULL
        OR NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))`;
}

/**
 * The columns of `c`, looked up per table and type. The session that applies changes allows only nested loops. It
 * would scan a list of all columns or types once for each table or column.
 */
function columnsQuery(version: number): string {
  const generated =
    version >= 120000 ? "CASE a.attgenerated WHEN 's' THEN 'stored' WHEN 'v' THEN 'virtual' END" : "NULL::text";
  const identity =
    version >= 100000 ? "CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'default' END" : "NULL::text";
  return `
    SELECT json_agg(json_build_object(
             'name', a.attname,
             'type', format_type(a.atttypid, a.atttypmod),
             'typeOid', a.atttypid::int8,
             'typeModifier', a.atttypmod,
             'baseTypeSchema', tn.nspname,
             'baseType', t.typname,
             'baseTypeKind', t.typtype,
             'element', CASE WHEN e.oid IS NOT NULL
                             THEN json_build_object('schema', en.nspname, 'name', e.typname, 'kind', e.typtype) END,
             'notNull', a.attnotnull,
             'generated', ${generated},
             'identity', ${identity}
           ) ORDER BY a.attnum) AS columns,
           array_agg(a.attname ORDER BY a.attnum) AS names
      FROM pg_attribute a
      JOIN pg_type t ON t.oid = ${typeBelowDomains("a.atttypid")}
      JOIN pg_namespace tn ON tn.oid = t.typnamespace
      LEFT JOIN pg_type e ON t.typcategory = 'A' AND e.oid = ${typeBelowDomains("t.typelem")}
      LEFT JOIN pg_namespace en ON en.oid = e.typnamespace
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped`;
}

const typeBelowDomains = (oid: string): string => `
  CASE WHEN (SELECT typtype FROM pg_type WHERE oid = ${oid}) = 'd' THEN (
    WITH RECURSIVE way (oid, below, kind) AS (
      SELECT oid, typbasetype, typtype FROM pg_type WHERE oid = ${oid}
      UNION ALL
      SELECT u.oid, u.typbasetype, u.typtype FROM way JOIN pg_type u ON u.oid = way.below WHERE way.kind = 'd'
    ) SELECT oid FROM way WHERE kind <> 'd') ELSE ${oid} END`;
