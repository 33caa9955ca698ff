import type { Client } from "pg";
import { joinCommands } from "../platforms/platform.js";
import { qualify, quoteIdentifier } from "../postgres/identifiers.js";
import { serverVersion } from "../postgres/server-version.js";
import { reindex, type RebuiltIndex } from "./reindex.js";
import { checkedSchemas, type TargetCheck, type TargetProblem } from "./target-check.js";

interface Versions {
  /** Version of the collation library when the collation or database was created. */
  readonly recorded: string;
  /** Version of the library that the server uses now. */
  readonly actual: string;
  readonly indexes: readonly RebuiltIndex[];
}

interface ChangedCollation extends Versions {
  readonly schema: string;
  readonly name: string;
}

interface ChangedDatabase extends Versions {
  readonly database: string;
}

/** SQL expression: the indexes that sort by a collation, as JSON; null if there are none. */
const indexesBy = (collation: string): string => `
  (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('schema', xn.nspname, 'name', xc.relname, 'excludes', x.indisexclusion)
                              ORDER BY xn.nspname, xc.relname)
     FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class xc ON xc.oid = x.indexrelid
     JOIN pg_catalog.pg_namespace xn ON xn.oid = xc.relnamespace
    WHERE xc.relkind = 'i' AND ${checkedSchemas("xn")} AND ${collation} = ANY (x.indcollation::oid[]))`;

/** The condition of CASE is evaluated first: a collation of another encoding has no version in this database. */
const collationsQuery = `
  SELECT * FROM (
    SELECT n.nspname::text AS schema, c.collname::text AS name, c.collversion AS recorded, now.version AS actual,
           ${indexesBy("c.oid")} AS indexes
      FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
     CROSS JOIN LATERAL (SELECT CASE WHEN c.collversion IS NOT NULL AND c.collencoding IN (-1, (
       SELECT encoding FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())) THEN
       pg_catalog.pg_collation_actual_version(c.oid) END AS version) now
     WHERE now.version <> c.collversion) changed
   WHERE indexes IS NOT NULL ORDER BY schema, name`;

const databaseQuery = `
  SELECT * FROM (
    SELECT datname::text AS database, datcollversion AS recorded,
           pg_catalog.pg_database_collation_actual_version(oid) AS actual, ${indexesBy("'pg_catalog.default'::regcollation")} AS indexes
      FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) one
   WHERE actual <> recorded AND indexes IS NOT NULL`;

/** PGM-813: indexes whose order may be wrong, because the library that sorts texts has another version than before. */
export const changedCollations: TargetCheck = async (session) => {
  const version = await serverVersion(session);
  const { rows } = await session.query<ChangedCollation>(collationsQuery);
  return [
    ...rows.map((one) => problem(`${one.schema}.${one.name}`, one, version, refreshCollation(one))),
    // Before 15, databases record no version.
    ...(version >= 150000 ? await ofDatabase(session, version) : []),
  ];
};

async function ofDatabase(session: Client, version: number): Promise<TargetProblem[]> {
  const { rows } = await session.query<ChangedDatabase>(databaseQuery);
  return rows.map((one) => problem(one.database, one, version, refreshDatabase(one)));
}

const refreshCollation = ({ schema, name }: ChangedCollation): string =>
  `ALTER COLLATION ${qualify(schema, name)} REFRESH VERSION`;

const refreshDatabase = ({ database }: ChangedDatabase): string =>
  `ALTER DATABASE ${quoteIdentifier(database)} REFRESH COLLATION VERSION`;

const problem = (
  object: string,
  { recorded, actual, indexes }: Versions,
  version: number,
  refresh: string,
): TargetProblem => ({
  type: "CollationsValidation",
  state: "Failed",
  code: "PGM-813",
  object,
  message: `the collation has version ${actual}, and was recorded with ${recorded}: the order of its indexes (${indexes.length}) may be wrong`,
  remedy: joinCommands([...indexes.map((index) => reindex(index, version)), refresh]),
});
