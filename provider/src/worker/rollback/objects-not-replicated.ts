import type { Client } from "pg";
import { qualify } from "../../postgres/identifiers.js";
import { listTables } from "../../postgres/tables.js";
import type { RestoreFinding } from "../../schema/sql/restore-findings.js";

/** What of the target a way back does not bring, and its comparison, which goes by what both sides have, does not miss. */
export const objectsNotReplicated = async (
  target: Client,
  publications: readonly string[],
): Promise<RestoreFinding[]> => [...(await unfollowedTables(target, publications)), ...(await largeObjects(target))];

/** The target's tables with rows that a way back does not follow: made there since it began, or unlogged. */
async function unfollowedTables(target: Client, publications: readonly string[]): Promise<RestoreFinding[]> {
  const { rows } = await target.query<{ schema: string; name: string }>(
    "SELECT schemaname AS schema, tablename AS name FROM pg_catalog.pg_publication_tables WHERE pubname = ANY ($1)",
    [publications],
  );
  const followed = new Set(rows.map(({ schema, name }) => qualify(schema, name)));
  const findings: RestoreFinding[] = [];
  for (const { schema, name, partitioned, extensionConfiguration } of await listTables(target)) {
    const table = qualify(schema, name);
    if (partitioned || extensionConfiguration || followed.has(table) || !(await hasRows(target, table))) continue;
    findings.push({
      object: table,
      objectType: "TABLE",
      message:
        "has rows on the target that do not come back: the way back does not follow it, since it was made there meanwhile or is unlogged",
      remedy:
        "where the source is to have them, bring them by hand: pg_dump --table=<table> of the target's database, and psql into the source's",
      severity: "warning",
    });
  }
  return findings;
}

async function hasRows(target: Client, table: string): Promise<boolean> {
  const { rows } = await target.query<{ found: boolean }>(`SELECT EXISTS (SELECT FROM ONLY ${table}) AS found`);
  return rows[0]!.found;
}

/** Nothing tells cheaply, and to no superuser at all, whether one was written since the cutover. */
async function largeObjects(target: Client): Promise<RestoreFinding[]> {
  const { rows } = await target.query<{ found: boolean }>(
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata) AS found",
  );
  if (!rows[0]!.found) return [];
  return [
    {
      object: "pg_largeobject",
      objectType: "LARGE OBJECTS",
      message:
        "the target has large objects, which no stream tells of: what was made, changed or removed of them there since the cutover does not come back",
      remedy:
        "where applications write large objects, bring these by hand: SELECT lo_get(<oid>) on the target, lo_from_bytea or lo_put on the source, and lo_unlink what is gone",
      severity: "warning",
    },
  ];
}
