import type { Client } from "pg";
import { RefusedError, messageOf } from "../../errors.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { asFailure } from "../model/failure.js";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import { alterTables, limitLockWaits } from "../../postgres/locks/lock-waits.js";
import { serverVersion } from "../../postgres/server-version.js";
import type { Table } from "../../postgres/tables.js";
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
  /** Names to pass to the stream. Both are always there, so that a table that is made later finds its place. */
  readonly publications: readonly string[];
  /** Published with every kind of change. */
  readonly tables: readonly Table[];
  /**
   * Published with inserts and truncations only: their rows have no identity, and publishing UPDATE and DELETE would
   * make these fail in the source's applications. Whether they are updated is for the caller to say to the user.
   */
  readonly insertOnlyTables: readonly Table[];
}

export interface PublicationOptions {
  /** What to do with tables whose rows have no identity: `full` sets REPLICA IDENTITY FULL until the publications go. */
  readonly keyless?: "insertsOnly" | "full";
}

/** SQL that tells a row of pg_publication which no migration has made. */
export const isUsersPublication = `left(pubname, ${sourceObjectPrefix.length}) <> '${sourceObjectPrefix}'`;

/**
 * Publishes the given tables, and only them, on the source; a call again brings existing publications in line. Make the
 * publications before the slot: a stream that starts earlier than its publication fails. Takes the role that owns the
 * tables; no superuser.
 *
 * Partitions: from 13 on a partitioned table stands for its leaves, those made later included, whose changes come under
 * the leaves' names (under the root's, TRUNCATE of a leaf would be lost); before, the leaves themselves are published.
 * A source before 10 has no publications, and test_decoding tells of every table.
 *
 * @throws RefusedError when the role may not publish a table
 */
export async function createPublications(
  source: Client,
  names: ChangeCaptureNames,
  selection: readonly Table[],
  { keyless = "insertsOnly" }: PublicationOptions = {},
): Promise<PublishedTables> {
  if (!(await hasPublications(source))) return { publications: [], tables: selection, insertOnlyTables: [] };
  const version = await serverVersion(source);
  const generated = takesGenerated(selection, keyless, version) ? withGenerated : "";
  const everything = `publish = '${everythingSince(version)}'${generated}`;
  await bringInLine(source, names.publication, undefined, everything);
  const telling = await tellingOf(source, names.publication);
  const selected =
    keyless === "full" ? await setReplicaIdentityFull(source, names.publication, selection, telling) : selection;
  const publishable = selected.filter((table) => !table.unlogged && publishesItself(table, version));
  const insertOnlyTables = publishable.filter((table) => !canNameRows(table, selected, telling));
  const tables = publishable.filter((table) => !insertOnlyTables.includes(table));
  // Of partitions of one table, some with a key and some without, both publications tell: at odds, the server would
  // refuse to.
  const insertions = `publish = '${insertionsSince(version)}'${telling.generated ? withGenerated : ""}`;
  await bringInLine(source, names.publication, tables, everything);
  await bringInLine(source, names.insertOnlyPublication, insertOnlyTables, insertions);
  return { publications: [names.publication, names.insertOnlyPublication], tables, insertOnlyTables };
}

/**
 * Follows what has become of the keys of published tables. One that has lost its key would make UPDATE and DELETE fail
 * in the source's applications; the changes of one that has got a key can be followed. A table that moves has changes
 * that neither publication tells of: it has to be copied anew.
 *
 * @param selection tables as they are now
 * @returns the tables that only inserts are followed of from now on
 * @throws RefusedError when the role may not publish a table, or set its replica identity
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
  // Dropped by somebody, which ends the stream.
  if (!published || !insertOnly) return [];
  const isIn = (list: readonly string[]) => (table: Table) => list.includes(qualify(table.schema, table.name));
  const telling = await tellingOf(source, names.publication);
  const tables =
    keyless === "full" ? await setReplicaIdentityFull(source, names.publication, selection, telling) : selection;
  const losing = tables.filter(isIn(published)).filter((table) => !canNameRows(table, tables, telling));
  const gaining = tables.filter(isIn(insertOnly)).filter((table) => canNameRows(table, tables, telling));
  await move(source, losing, names.publication, names.insertOnlyPublication);
  await move(source, gaining, names.insertOnlyPublication, names.publication);
  return losing;
}

async function move(source: Client, tables: readonly Table[], from: string, to: string): Promise<void> {
  if (tables.length === 0) return;
  const names = tables.map(({ schema, name }) => qualify(schema, name));
  try {
    // A table that was in neither would have changes that are lost, unnoticed.
    await alterTables(source, names, (some) => [
      `ALTER PUBLICATION ${quoteIdentifier(from)} DROP TABLE ${onlyThese(some)}`,
      `ALTER PUBLICATION ${quoteIdentifier(to)} ADD TABLE ${onlyThese(some)}`,
    ]);
  } catch (cause) {
    throw publicationFailure(cause, to);
  }
}

/** Not those that inherit from them: each is named for itself. */
const onlyThese = (tables: readonly string[]): string => tables.map((table) => `ONLY ${table}`).join(", ");

const everythingSince = (version: number): string =>
  version >= 110000 ? "insert, update, delete, truncate" : "insert, update, delete";

const insertionsSince = (version: number): string => (version >= 110000 ? "insert, truncate" : "insert");

const withGenerated = ", publish_generated_columns = stored";

/**
 * Removes what {@link createPublications} made, and resets the replica identities that it set; idempotent. Waits for no
 * lock, of another migration's or an application's, for longer than a minute.
 *
 * @returns what is left for somebody to do on the source
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

const publishesItself = (table: Table, version: number): boolean => (version >= 130000 ? true : !table.partitioned);

/** A partitioned table holds no rows: what counts are its leaves, each with an identity of its own. */
function canNameRows(table: Table, selected: readonly Table[], telling: PublicationCapabilities): boolean {
  if (!table.partitioned) return hasReplicaIdentity(table, telling);
  const leaves = leavesOf(table, selected);
  return leaves.length === 0
    ? hasReplicaIdentity(table, telling)
    : leaves.every((leaf) => hasReplicaIdentity(leaf, telling));
}

/**
 * Whether only with its generated columns a table can be followed. For all others they are a burden to the stream,
 * which the target computes by itself; so it is settled once, when the publication is made.
 */
function takesGenerated(selection: readonly Table[], keyless: PublicationOptions["keyless"], version: number): boolean {
  const canBeFollowed = (table: Table, telling: PublicationCapabilities): boolean =>
    hasReplicaIdentity(table, telling) || (keyless === "full" && canUseReplicaIdentityFull(table, telling));
  return selection.some(
    (table) =>
      !table.unlogged &&
      !canBeFollowed(table, { version, generated: false }) &&
      canBeFollowed(table, maxCapabilities(version)),
  );
}

function leavesOf(root: Table, selected: readonly Table[]): Table[] {
  const children = selected.filter(
    ({ partitionOf }) => partitionOf?.schema === root.schema && partitionOf.name === root.name,
  );
  return children.flatMap((child) => (child.partitioned ? leavesOf(child, selected) : [child]));
}

/** @param tables undefined leaves them as they are */
async function bringInLine(
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

const tellingOf = async (source: Client, publication: string): Promise<PublicationCapabilities> => ({
  version: await serverVersion(source),
  generated: await publishesGenerated(source, [publication]),
});

/** Whether they publish stored generated columns: as values of the server's, to be compared with the target's own. */
export async function publishesGenerated(source: Client, publications: readonly string[]): Promise<boolean> {
  if (!maxCapabilities(await serverVersion(source)).generated) return false;
  const { rows } = await source.query(
    "SELECT FROM pg_catalog.pg_publication WHERE pubname = ANY ($1) AND pubgencols = 's'",
    [publications],
  );
  return rows.length > 0;
}

/** PostgreSQL 10 brought them, with pgoutput. */
export const hasPublications = async (client: Client): Promise<boolean> => (await serverVersion(client)) >= 100000;

/** Qualified and quoted; undefined where there is no such publication. */
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
      "connect as the role that owns the tables and has CREATE on the database: GRANT <owner> TO <role>; GRANT CREATE ON DATABASE",
    code: "603112",
    cause,
  });
}
