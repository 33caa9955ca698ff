import { DatabaseError, type Client } from "pg";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { qualify } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";

/** Catalogues without anything that a dump of the schema shows. Some of them change all the time. */
const unrelated = [
  ...["auth_members", "authid", "database", "db_role_setting", "largeobject", "largeobject_metadata"],
  ...["replication_origin", "shdepend", "shdescription", "shseclabel", "statistic", "statistic_ext_data"],
  ...["subscription_rel"],
].map((name) => `pg_${name}`);

/** Only what a dump shows: an index becomes valid in place before 14, and each table has six system columns. */
const others: Readonly<Record<string, { readonly columns?: string; readonly where?: string }>> = {
  pg_attribute: { where: "attnum > 0" },
  pg_index: { columns: ", indisvalid" },
};

/**
 * Returns a text that changes if any row of the catalogues was written that a dump of the schema depends on. If it is the same
 * before a dump and in a later snapshot, a dump in this snapshot would have the same entries. Temporary tables change it as well.
 * Much cheaper than a dump.
 *
 * Undefined before PostgreSQL 10, where parameters of sequences are not in the catalogues, and if the server refuses the query.
 */
export async function readCatalogueRows(source: Client): Promise<string | undefined> {
  if ((await serverVersion(source)) < 100000) return undefined;
  try {
    const { rows } = await source.query<{ sums: string }>(sumsOf(await relatedCatalogues(source)));
    return rows[0]!.sums;
  } catch (error) {
    // Servers that are compatible with PostgreSQL may lack a view, or the system columns of rows.
    if (!(error instanceof DatabaseError) || isConnectionLoss(error)) throw error;
    return undefined;
  }
}

async function relatedCatalogues(source: Client): Promise<string[]> {
  const { rows } = await source.query<{ name: string }>(
    `SELECT relname AS name FROM pg_catalog.pg_class
      WHERE relnamespace = 'pg_catalog'::pg_catalog.regnamespace AND relkind = 'r' AND oid < 16384 AND relname <> ALL ($1)
        AND pg_catalog.has_table_privilege(oid, 'SELECT') ORDER BY relname`,
    [unrelated],
  );
  return rows.map(({ name }) => name);
}

function sumsOf(catalogues: readonly string[]): string {
  const sums = catalogues.map((name) => {
    const { columns = "", where = "true" } = others[name] ?? {};
    return sumOf(`one.ctid, one.xmin${columns}`, qualify("pg_catalog", name), where);
  });
  // Names of owners, and user mappings, whose catalogue only superusers may read.
  sums.push(sumOf("one.oid, one.rolname", "pg_catalog.pg_roles"), sumOf("one", "pg_catalog.pg_user_mappings"));
  return `SELECT pg_catalog.concat_ws(' ', ${sums.join(", ")}) AS sums`;
}

const sumOf = (columns: string, relation: string, where = "true"): string =>
  `(SELECT pg_catalog.concat(pg_catalog.count(*), '/', pg_catalog.sum(pg_catalog.hashtext(pg_catalog.concat_ws(' ', ${columns}))::int8))
      FROM ${relation} AS one WHERE ${where})`;
