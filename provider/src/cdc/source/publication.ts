import type { Client } from "pg";
import { RefusedError, messageOf } from "../../errors.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { asFailure } from "../model/failure.js";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import { alterTables, limitLockWaits } from "../../postgres/locks/lock-waits.js";
import { serverVersion } from "../../postgres/server-version.js";
import type { Table } from "../../postgres/tables.js";
import { readTrustedOwners } from "../../postgres/trusted-owners.js";
import { type ChangeCaptureNames, sourceObjectPrefix } from "../model/names.js";
import {
  setReplicaIdentityFull,
  canUseReplicaIdentityFull,
  maxCapabilities,
  hasReplicaIdentity,
  resetReplicaIdentities,
  type PublicationCapabilities,
  withReplicaIdentityTransfer,
} from "./replica-identity.js";

export interface PublishedTables {
  /** Names for the options of the stream. Both publications always exist, so that a table created later can be added. */
  readonly publications: readonly string[];
  /** Published with every kind of change. */
  readonly tables: readonly Table[];
  /**
   * Published with inserts and truncations only, because they have no replica identity. If UPDATE and DELETE were published
   * as well, these would fail in the source's applications. The caller reports these tables to the user.
   */
  readonly insertOnlyTables: readonly Table[];
}

export interface PublicationOptions {
  /** For tables without a replica identity: `full` sets REPLICA IDENTITY FULL until the publications are dropped. */
  readonly keyless?: "insertsOnly" | "full";
}

/** SQL condition for a row of pg_publication that no migration created. */
export const isUsersPublication = `left(pubname, ${sourceObjectPrefix.length}) <> '${sourceObjectPrefix}'`;

/**
 * Publishes exactly the given tables on the source. Repeated calls update existing publications. Create the publications
 * before the slot: a stream that starts before its publication exists fails. The role must own the tables; it need not be a
 * superuser.
 *
 * Partitions: from 13 on, a published partitioned table includes its leaves, also those that are created later. Changes have
 * the leaves' names, because under the root's name a TRUNCATE of a leaf would be lost. Before 13, the leaves themselves are
 * published. A source before 10 has no publications, and test_decoding sends the changes of every table.
 *
 * @throws RefusedError if the role may not publish a table
 */
export async function createPublications(
  source: Client,
  names: ChangeCaptureNames,
  selection: readonly Table[],
  { keyless = "insertsOnly" }: PublicationOptions = {},
): Promise<PublishedTables> {
  if (!(await hasPublications(source))) return { publications: [], tables: selection, insertOnlyTables: [] };
  const version = await serverVersion(source);
  const generated = needsGenerated(selection, keyless, version) ? withGenerated : "";
  const everything = `publish = '${everythingSince(version)}'${generated}`;
  await updatePublication(source, names.publication, undefined, everything);
  const capabilities = await capabilitiesOf(source, names.publication);
  const selected =
    keyless === "full" ? await setReplicaIdentityFull(source, names.publication, selection, capabilities) : selection;
  const publishable = selected.filter((table) => !table.unlogged && isPublishable(table, version));
  const insertOnlyTables = publishable.filter((table) => !identifiesRows(table, selected, capabilities));
  const tables = publishable.filter((table) => !insertOnlyTables.includes(table));
  // Partitions of one table may be in both publications, some with a key and some without. The server refuses a stream
  // whose publications have different publish_generated_columns for one table.
  const insertions = `publish = '${insertionsSince(version)}'${capabilities.generated ? withGenerated : ""}`;
  await updatePublication(source, names.publication, tables, everything);
  await updatePublication(source, names.insertOnlyPublication, insertOnlyTables, insertions);
  return { publications: [names.publication, names.insertOnlyPublication], tables, insertOnlyTables };
}

/**
 * Call it after {@link createPublications} and before the slot is created. The owner of a publication can take tables and kinds
 * of changes out of it, and these changes would be lost silently.
 *
 * @throws RefusedError if another role created a publication of these names, unless it is a superuser
 */
export async function requireOwnPublications(session: Client, names: ChangeCaptureNames): Promise<void> {
  if (!(await hasPublications(session))) return;
  const { rows } = await session.query<{ name: string; owner: string }>(
    "SELECT pubname AS name, pg_catalog.pg_get_userbyid(pubowner) AS owner FROM pg_catalog.pg_publication WHERE pubname IN ($1, $2)",
    [names.publication, names.insertOnlyPublication],
  );
  const trusted = await readTrustedOwners(session);
  const foreign = rows.find(({ owner }) => !trusted.has(owner));
  if (!foreign) return;
  const { name, owner } = foreign;
  throw new RefusedError(`the publication ${name} belongs to ${owner}, who could leave out changes`, {
    remedy: `find out why ${owner} created it; then DROP PUBLICATION ${quoteIdentifier(name)}, and migrate again`,
  });
}

/**
 * Moves published tables to the other publication if they lost or gained a key. Without a key, a published UPDATE or DELETE
 * fails in the source's applications. Changes around the move may be in neither publication, so the caller copies a moved
 * table again.
 *
 * @param selection the current definitions of the tables
 * @returns the tables whose updates and deletes are no longer published
 * @throws RefusedError if the role may not publish a table, or set its replica identity
 */
export async function followKeys(
  source: Client,
  names: ChangeCaptureNames,
  selection: readonly Table[],
  { keyless = "insertsOnly" }: PublicationOptions = {},
): Promise<readonly Table[]> {
  if (!(await hasPublications(source))) return [];
  const published = await publishedTables(source, names.publication);
  const insertOnly = await publishedTables(source, names.insertOnlyPublication);
  // Another session dropped a publication. The stream fails because of it.
  if (!published || !insertOnly) return [];
  const isIn = (list: readonly string[]) => (table: Table) => list.includes(qualify(table.schema, table.name));
  const capabilities = await capabilitiesOf(source, names.publication);
  const tables =
    keyless === "full" ? await setReplicaIdentityFull(source, names.publication, selection, capabilities) : selection;
  const losing = tables.filter(isIn(published)).filter((table) => !identifiesRows(table, tables, capabilities));
  const gaining = tables.filter(isIn(insertOnly)).filter((table) => identifiesRows(table, tables, capabilities));
  await move(source, losing, names.publication, names.insertOnlyPublication);
  await move(source, gaining, names.insertOnlyPublication, names.publication);
  return losing;
}

async function move(source: Client, tables: readonly Table[], from: string, to: string): Promise<void> {
  if (tables.length === 0) return;
  const names = tables.map(({ schema, name }) => qualify(schema, name));
  try {
    // In one transaction: changes of a table that is in neither publication would be lost silently.
    await alterTables(source, names, (some) => [
      `ALTER PUBLICATION ${quoteIdentifier(from)} DROP TABLE ${onlyThese(some)}`,
      `ALTER PUBLICATION ${quoteIdentifier(to)} ADD TABLE ${onlyThese(some)}`,
    ]);
  } catch (cause) {
    throw publicationFailure(cause, to);
  }
}

/** ONLY excludes inheriting tables. These are listed separately. */
const onlyThese = (tables: readonly string[]): string => tables.map((table) => `ONLY ${table}`).join(", ");

const everythingSince = (version: number): string =>
  version >= 110000 ? "insert, update, delete, truncate" : "insert, update, delete";

const insertionsSince = (version: number): string => (version >= 110000 ? "insert, truncate" : "insert");

const withGenerated = ", publish_generated_columns = stored";

/**
 * Drops the publications of {@link createPublications}, and resets the replica identities that it set; idempotent. It waits
 * at most a minute for each lock of another migration or an application.
 *
 * @returns statements that remain for the user to execute on the source
 */
export async function dropPublications(source: Client, names: ChangeCaptureNames): Promise<readonly string[]> {
  if (!(await hasPublications(source))) return [];
  await limitLockWaits(source);
  return withReplicaIdentityTransfer(source, async () => {
    const notes = await resetReplicaIdentities(source, names.publication);
    for (const name of [names.publication, names.insertOnlyPublication])
      await source.query(`DROP PUBLICATION IF EXISTS ${quoteIdentifier(name)}`);
    return notes;
  });
}

const isPublishable = (table: Table, version: number): boolean => version >= 130000 || !table.partitioned;

/** A partitioned table has no rows. Each of its leaves has its own replica identity. */
function identifiesRows(table: Table, selected: readonly Table[], capabilities: PublicationCapabilities): boolean {
  if (!table.partitioned) return hasReplicaIdentity(table, capabilities);
  const leaves = leavesOf(table, selected);
  return leaves.length === 0
    ? hasReplicaIdentity(table, capabilities)
    : leaves.every((leaf) => hasReplicaIdentity(leaf, capabilities));
}

/**
 * Whether a table can be replicated only if its generated columns are published. Generated columns make the stream larger,
 * and the target computes them itself. This is therefore decided once, when the publication is created.
 */
function needsGenerated(selection: readonly Table[], keyless: PublicationOptions["keyless"], version: number): boolean {
  const isReplicable = (table: Table, capabilities: PublicationCapabilities): boolean =>
    hasReplicaIdentity(table, capabilities) || (keyless === "full" && canUseReplicaIdentityFull(table, capabilities));
  return selection.some(
    (table) =>
      !table.unlogged &&
      !isReplicable(table, { version, generated: false }) &&
      isReplicable(table, maxCapabilities(version)),
  );
}

function leavesOf(root: Table, selected: readonly Table[]): Table[] {
  const children = selected.filter(
    ({ partitionOf }) => partitionOf?.schema === root.schema && partitionOf.name === root.name,
  );
  return children.flatMap((child) => (child.partitioned ? leavesOf(child, selected) : [child]));
}

/** Creates the publication, or changes its list of tables. @param tables undefined does not change the list */
async function updatePublication(
  source: Client,
  name: string,
  tables: readonly Table[] | undefined,
  options: string,
): Promise<void> {
  const publication = quoteIdentifier(name);
  const published = await publishedTables(source, name);
  const wanted = tables?.map((table) => qualify(table.schema, table.name)) ?? published ?? [];
  const missing = wanted.filter((table) => !published?.includes(table));
  const surplus = published?.filter((table) => !wanted.includes(table)) ?? [];
  try {
    if (!published) await source.query(`CREATE PUBLICATION ${publication} WITH (${options})`);
    await alterTables(source, surplus, (some) => [`ALTER PUBLICATION ${publication} DROP TABLE ${onlyThese(some)}`]);
    await alterTables(source, missing, (some) => [`ALTER PUBLICATION ${publication} ADD TABLE ${onlyThese(some)}`]);
  } catch (cause) {
    throw publicationFailure(cause, name);
  }
}

const capabilitiesOf = async (source: Client, publication: string): Promise<PublicationCapabilities> => ({
  version: await serverVersion(source),
  generated: await publishesGenerated(source, [publication]),
});

/** Whether the publications include stored generated columns, so that the stream has the source's computed values. */
export async function publishesGenerated(source: Client, publications: readonly string[]): Promise<boolean> {
  if (!maxCapabilities(await serverVersion(source)).generated) return false;
  const { rows } = await source.query(
    "SELECT FROM pg_catalog.pg_publication WHERE pubname = ANY ($1) AND pubgencols = 's'",
    [publications],
  );
  return rows.length > 0;
}

/** PostgreSQL 10 introduced publications and pgoutput. */
export const hasPublications = async (client: Client): Promise<boolean> => (await serverVersion(client)) >= 100000;

/** The published tables, qualified and quoted; undefined if the publication does not exist. */
async function publishedTables(source: Client, name: string): Promise<string[] | undefined> {
  const { rows } = await source.query<{ schema: string | null; table: string | null }>(
    `SELECT n.nspname AS schema, c.relname AS table
       FROM pg_catalog.pg_publication p
       LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid
       LEFT JOIN pg_catalog.pg_class c ON c.oid = r.prrelid
       LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE p.pubname = $1`,
    [name],
  );
  if (rows.length === 0) return undefined;
  return rows.flatMap(({ schema, table }) => (schema === null || table === null ? [] : [qualify(schema, table)]));
}

function publicationFailure(cause: unknown, name: string): Error {
  if (sqlStateOf(cause) !== sqlStates.insufficientPrivilege)
    return asFailure(cause, `publishing tables of the source as ${name}`);
  return new RefusedError(`the source refuses to publish the selected tables as ${name} (${messageOf(cause)})`, {
    remedy:
      "connect as a role that owns the tables and has CREATE on the database: GRANT <owner> TO <role>; GRANT CREATE ON DATABASE <database> TO <role>",
    code: "603110",
    cause,
  });
}
