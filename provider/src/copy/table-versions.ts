import type { Client } from "pg";
import { userSchemas } from "../postgres/catalogue-filters.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { type Snapshot, withSnapshotSession } from "./snapshot.js";

/** A digest of each table's definition, by the table's OID. */
type TableVersions = ReadonlyMap<string, { readonly name: string; readonly version: string }>;

/** Columns of pg_class that change without a change of the definition, or that pg_dump reads as of its snapshot. */
const ignoredProperties = [
  ...["relfilenode", "relpages", "reltuples", "relallvisible", "relallfrozen", "relfrozenxid", "relminmxid", "relacl"],
  ...["relhasindex", "relhasrules", "relhastriggers", "relhassubclass", "relhaspkey"],
];

/**
 * The tables, qualified and quoted, whose definition has changed since the snapshot, also if it was changed back. TRUNCATE and
 * ANALYZE change no definition.
 *
 * @example const changed = await definitionsChangedSince(source, "crm", snapshot);
 */
export async function definitionsChangedSince(
  source: Endpoint,
  database: string,
  { id }: Pick<Snapshot, "id">,
): Promise<string[]> {
  const read = (snapshotId: string | undefined): Promise<TableVersions> =>
    withSnapshotSession({ source, database, snapshotId, purpose: "table versions" }, readVersions);
  const [before, now] = [await read(id), await read(undefined)];
  const changed = [...before].filter(([oid, { version }]) => now.get(oid)?.version !== version);
  return changed.map(([, { name }]) => name);
}

/**
 * A row of the catalogue gets another xmin with each change. TRUNCATE changes the rows of pg_class, so their columns are
 * compared. RENAME and SET SCHEMA also change the row of the table's type.
 */
async function readVersions(session: Client): Promise<TableVersions> {
  const xmins = (catalogue: string, table: string): string =>
    `(SELECT string_agg(r.xmin::text, ',' ORDER BY r.xmin::text) FROM ${catalogue} r WHERE r.${table} = c.oid)`;
  const properties = (relation: string): string =>
    `(to_jsonb(${relation}) ${ignoredProperties.map((column) => `- '${column}'`).join(" ")})`;
  const { rows } = await session.query<{ oid: string; name: string; version: string }>(
    `SELECT c.oid::text AS oid, format('%I.%I', n.nspname, c.relname) AS name,
            md5(concat_ws(';', n.nspname, ${properties("c")}, (SELECT t.xmin::text FROM pg_type t WHERE t.oid = c.reltype),
              ${xmins("pg_attribute", "attrelid")}, ${xmins("pg_attrdef", "adrelid")}, ${xmins("pg_constraint", "conrelid")},
              ${xmins("pg_index", "indrelid")}, ${xmins("pg_trigger", "tgrelid")}, ${xmins("pg_rewrite", "ev_class")},
              ${xmins("pg_policy", "polrelid")}, ${xmins("pg_inherits", "inhrelid")},
              (SELECT string_agg(${properties("i")}::text, ',' ORDER BY i.oid)
                 FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid))) AS version
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND ${userSchemas("n")} AND n.nspname <> 'pgmigration'`,
  );
  return new Map(rows.map(({ oid, name, version }) => [oid, { name, version }]));
}
