import type { Client } from "pg";
import { tablesWithRows } from "../../postgres/tables-with-rows.js";
import { qualify } from "../../postgres/identifiers.js";
import { listTables } from "../../postgres/tables.js";
import type { RestoreFinding } from "../../schema/sql/restore-findings.js";

/**
 * Lists rows of the target that the rollback replication does not apply to the source. Its comparison cannot detect them,
 * because it compares only tables that exist on both servers.
 */
export const objectsNotReplicated = async (
  target: Client,
  publications: readonly string[],
): Promise<RestoreFinding[]> => [...(await tablesNotReplicated(target, publications)), ...(await largeObjects(target))];

/** Tables of the target that have rows and are not replicated: created after the cutover, or unlogged. */
async function tablesNotReplicated(target: Client, publications: readonly string[]): Promise<RestoreFinding[]> {
  const { rows } = await target.query<{ schema: string; name: string }>(
    "SELECT schemaname AS schema, tablename AS name FROM pg_catalog.pg_publication_tables WHERE pubname = ANY ($1)",
    [publications],
  );
  const published = new Set(rows.map(({ schema, name }) => qualify(schema, name)));
  const others = (await listTables(target)).filter(
    ({ schema, name, partitioned, extensionConfiguration }) =>
      !partitioned && !extensionConfiguration && !published.has(qualify(schema, name)),
  );
  return (await tablesWithRows(target, others)).map(({ schema, name }) => ({
    object: qualify(schema, name),
    code: "PGM-606",
    objectType: "TABLE",
    message:
      "has rows on the target that are not returned to the source: the table was created after the cutover or is unlogged",
    remedy:
      "copy the rows manually if the source needs them: pg_dump --table=<table> from the target's database, and psql into the source's",
    state: "Warning",
  }));
}

/** Reports large objects, because the server does not record when they were written. */
async function largeObjects(target: Client): Promise<RestoreFinding[]> {
  const { rows } = await target.query<{ found: boolean }>(
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata) AS found",
  );
  if (!rows[0]!.found) return [];
  return [
    {
      object: "pg_largeobject",
      code: "PGM-606",
      objectType: "LARGE OBJECTS",
      message:
        "the target has large objects, which logical replication omits: large objects that were written there after the cutover are not returned to the source",
      remedy:
        "if applications write large objects, copy them manually: SELECT lo_get(<oid>) on the target, lo_from_bytea or lo_put on the source, and lo_unlink for the deleted ones",
      state: "Warning",
    },
  ];
}
