import { qualify } from "../postgres/identifiers.js";
import { serverVersion } from "../postgres/server-version.js";
import { reindex, type RebuiltIndex } from "./reindex.js";
import { checkedSchemas, type TargetCheck } from "./target-check.js";

interface InvalidIndex extends RebuiltIndex {
  readonly table: string;
  readonly unique: boolean;
  readonly partitioned: boolean;
}

const query = `
  SELECT n.nspname::text AS schema, c.relname::text AS name, t.relname::text AS "table", x.indisunique AS "unique",
         x.indisexclusion AS excludes, c.relkind = 'I' AS partitioned
    FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
    JOIN pg_catalog.pg_class t ON t.oid = x.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE NOT (x.indisvalid AND x.indisready AND x.indislive) AND ${checkedSchemas("n")}
   ORDER BY 1, 2`;

/** PGM-812: indexes that queries do not use, because their creation failed or has not ended. */
export const invalidIndexes: TargetCheck = async (session) => {
  const { rows } = await session.query<InvalidIndex>(query);
  const version = await serverVersion(session);
  return rows.map((index) => ({
    type: "SchemaValidation",
    state: "Failed",
    code: "PGM-812",
    object: `${index.schema}.${index.name}`,
    message: `the index on ${index.table} is invalid${index.unique ? ", and does not prove that its rows are unique" : ""}`,
    remedy: remedyFor(index, version),
  }));
};

function remedyFor(index: InvalidIndex, version: number): string {
  const name = qualify(index.schema, index.name);
  if (index.partitioned)
    return `for each partition without this index: CREATE INDEX, then ALTER INDEX ${name} ATTACH PARTITION <index>`;
  // The remainder of REINDEX CONCURRENTLY; the index itself exists.
  if (/_cc(new|old)\d*$/.test(index.name)) return `DROP INDEX CONCURRENTLY ${name}`;
  return reindex(index, version);
}
