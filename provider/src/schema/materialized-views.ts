import type { Client } from "pg";
import { qualify } from "../postgres/identifiers.js";
import type { Entry } from "./entries.js";
import type { RestoreFinding } from "./findings.js";
import type { RestoreContext } from "./restore-context.js";
import type { RelationName } from "./restore-plan.js";
import { restoreEntries } from "./restore.js";

/**
 * Fills the materialized views that are filled on the source, in the order given. Those without rows there stay without.
 *
 * @throws Refused when one cannot be filled; the ones before it are
 */
export async function refreshMaterializedViews(
  source: Client,
  target: Client,
  views: readonly RelationName[],
  context: RestoreContext,
): Promise<RestoreFinding[]> {
  if (views.length === 0) return [];
  const { rows } = await source.query<RelationName>(
    "SELECT schemaname AS schema, matviewname AS name FROM pg_catalog.pg_matviews WHERE ispopulated",
  );
  const keyOf = ({ schema, name }: RelationName): string => JSON.stringify([schema, name]);
  const populated = new Set(rows.map(keyOf));
  return restoreEntries(target, views.filter((view) => populated.has(keyOf(view))).map(refresh), context);
}

/** As pg_dump would write it with the data. */
const refresh = ({ schema, name }: RelationName): Entry => ({
  id: 0,
  classOid: 0,
  oid: 0,
  dependencies: [],
  name,
  type: "MATERIALIZED VIEW DATA",
  schema,
  owner: undefined,
  tablespace: undefined,
  accessMethod: "heap",
  sql: `REFRESH MATERIALIZED VIEW ${qualify(schema, name)};`,
});
