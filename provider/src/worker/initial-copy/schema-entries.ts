import { createHash } from "node:crypto";
import type { Client } from "pg";
import { withSnapshotSession } from "../../copy/snapshot.js";
import { fenceSetting } from "../../cutover/fence.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { RelationName } from "../../postgres/identifiers.js";
import { readCatalogueRows } from "../../schema/catalogue/catalogue-rows.js";
import { readDatabaseProperties } from "../../schema/database/database.js";
import { dumpSchema } from "../../schema/dump/dump.js";
import type { KeptDump } from "../../schema/dump/kept-dumps.js";
import { largeObjectEntries } from "../../schema/plan/large-object-entries.js";
import { isOwnPublication } from "../../schema/plan/restore-plan.js";
import { hiddenTables, readSelection, selectsAll } from "../../schema/plan/selection.js";
import { withoutTemporaryReplicaIdentities } from "../../schema/plan/temporary-replica-identity.js";
import { type Entry, parseTocEntries } from "../../schema/sql/toc-entries.js";
import type { Work } from "../context/work.js";
import { purposeOf } from "./copy-context.js";

/**
 * Reads the schema of the source as of a snapshot, as the entries of pg_dump. Uses the dump of the validation if the schema has
 * not changed since then.
 */
export async function readSchemaEntries(
  work: Work,
  database: string,
  snapshot: string,
  signal: AbortSignal,
): Promise<readonly Entry[]> {
  const { source, journal } = work;
  await journal.database(database, { message: "reading the schema" });
  const without = await tablesHiddenFromDump(work, database);
  const kept = work.keptDumps?.take(database, without);
  if (kept && (await isUnchanged(work, database, snapshot, kept))) {
    const count = `${kept.entries.length} schema entries`;
    await journal.event(`${count} are the same as in the validation, which read them by ${kept.tool}`, { database });
    return kept.entries;
  }
  const { text, tool } = await dumpSchema(source, database, { snapshot, without, signal });
  const entries = withoutTemporaryReplicaIdentities(parseTocEntries(text));
  await journal.event(`${entries.length} schema entries read by ${tool}`, { database });
  return entries;
}

function isUnchanged(
  { source, spec }: Work,
  database: string,
  snapshotId: string,
  { catalogueRows }: KeptDump,
): Promise<boolean> {
  const purpose = `${spec.migrationName} catalogue`;
  return withSnapshotSession(
    { source, database, snapshotId, purpose },
    async (session) => (await readCatalogueRows(session)) === catalogueRows,
  );
}

async function tablesHiddenFromDump(work: Work, database: string): Promise<RelationName[]> {
  if (selectsAll(work.spec)) return [];
  return withSession(work.source, { database, purpose: purposeOf(work, "read") }, async (source) =>
    hiddenTables(source, await readSelection(source, work.spec)),
  );
}

/**
 * Changes with every object of the schema, its owner and its privileges, and if an object is replaced by an equal one. Also
 * with what a schema dump lacks: properties of the database, and owners and privileges of large objects.
 *
 * @param source a session in the database
 */
export async function schemaDigest(entries: readonly Entry[], source: Client): Promise<string> {
  const { settings, connectionLimit: _limit, ...properties } = await readDatabaseProperties(source);
  // The fence of a migration is not a property of the database.
  const own = { ...properties, settings: settings.filter(({ name }) => name !== fenceSetting) };
  // pg_dump's numbers and order also depend on objects that it leaves out, such as the schemas of temporary tables.
  const texts = [...entries, ...(await largeObjectEntries(source))]
    .filter((entry) => !isOwnPublication(entry))
    .map(({ id: _id, dependencies: _dependencies, ...object }) => JSON.stringify(object));
  const digest = createHash("sha256").update(JSON.stringify(own));
  // One at a time: the texts of millions of large objects exceed the longest string.
  for (const text of texts.sort()) digest.update(`\n${text}`);
  return digest.digest("hex");
}
