import type { Client } from "pg";
import { qualify } from "../postgres/identifiers.js";
import { listTables } from "../postgres/tables.js";
import type { RestoreFinding } from "../schema/findings.js";

/**
 * The target's tables with rows that a way back does not follow: made there since it began, or unlogged. Their rows do
 * not come back, and the comparison, which goes by what both sides have, does not miss them.
 */
export async function leftBehind(target: Client, publications: readonly string[]): Promise<RestoreFinding[]> {
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
