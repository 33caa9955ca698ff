import type { Client } from "pg";
import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { alterTable, isLockTimeout, lockTimeoutSeconds } from "../../postgres/locks/lock-waits.js";
import { qualify, quoteIdentifier, quoteLiteral } from "../../postgres/identifiers.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import type { Column, Table } from "../../postgres/tables.js";
import { sourceObjectPrefix } from "../model/names.js";

/*
 * The publication's comment lists the tables that get REPLICA IDENTITY FULL. It is written before the first table is altered.
 * The session that drops the publication can then reset them, also from another machine and after a crash. Each table is
 * altered in its own transaction. A session that locked one table and waited for another would block the source's
 * applications.
 */

/**
 * From this version on, a published UPDATE or DELETE fails if the replica identity has a generated column that is not
 * published. Stored generated columns can be published from the same version on.
 */
const firstVersionThatRefuses = 180000;

/** Which values of the source's rows a publication sends. */
export interface PublicationCapabilities {
  readonly version: number;
  /** Whether stored generated columns are published. */
  readonly generated: boolean;
}

/** The maximum that a publication on a source of this version can send. */
export const maxCapabilities = (version: number): PublicationCapabilities => ({
  version,
  generated: version >= firstVersionThatRefuses,
});

/** Whether the stream identifies the rows of the table that were updated or deleted. */
export function hasReplicaIdentity(
  { columns, identityColumns, replicaIdentity }: Table,
  capabilities: PublicationCapabilities,
): boolean {
  // All rows of a table without columns are equal, so any of them can be deleted.
  if (columns.length === 0) return replicaIdentity === "full";
  if (identityColumns.length === 0) return false;
  const identity = columns.filter(({ name }) => identityColumns.includes(name));
  if (identity.every((column) => isPublished(column, capabilities))) return true;
  return replicaIdentity === "full" && capabilities.version < firstVersionThatRefuses;
}

/** Whether REPLICA IDENTITY FULL can temporarily identify the rows of a table that has no replica identity. */
export function canUseReplicaIdentityFull(table: Table, capabilities: PublicationCapabilities): boolean {
  const { columns, identityColumns, replicaIdentity } = table;
  const isChosen = replicaIdentity === "index" && identityColumns.length > 0;
  const isRefused =
    capabilities.version >= firstVersionThatRefuses && !columns.every((column) => isPublished(column, capabilities));
  return !isChosen && !isRefused;
}

const isPublished = ({ generated }: Column, capabilities: PublicationCapabilities): boolean =>
  generated === undefined || (generated === "stored" && capabilities.generated);

const commentPrefix = "REPLICA IDENTITY FULL set by pulumi-pg-migration, to be reset: ";

/**
 * Sets REPLICA IDENTITY FULL on the tables without a replica identity, so that their updates and deletes are published. The
 * publication must exist. After an error, its comment still lists the tables, and they are reset later.
 *
 * @returns the tables with their new replica identities
 * @throws RefusedError if the role does not own one of them, or one stays locked
 */
export async function setReplicaIdentityFull(
  source: Client,
  publication: string,
  tables: readonly Table[],
  capabilities: PublicationCapabilities,
): Promise<readonly Table[]> {
  const keyless = tables.filter(
    (table) =>
      !table.partitioned &&
      !table.unlogged &&
      !hasReplicaIdentity(table, capabilities) &&
      canUseReplicaIdentityFull(table, capabilities),
  );
  if (keyless.length === 0) return tables;
  const names = keyless.map(({ schema, name }) => qualify(schema, name));
  const formerIdentities: ReplicaIdentities = Object.fromEntries(
    keyless.map(({ replicaIdentity }, index) => [names[index]!, replicaIdentity === "nothing" ? "NOTHING" : "DEFAULT"]),
  );
  await recordIdentities(source, publication, formerIdentities);
  try {
    for (const name of names) await alterTable(source, name, [`ALTER TABLE ${name} REPLICA IDENTITY FULL`]);
  } catch (cause) {
    // The error of a table that stays locked is complete.
    if (cause instanceof RefusedError) throw cause;
    const what = `REPLICA IDENTITY FULL cannot be set on the source's tables without a key: ${messageOf(cause)}`;
    if (isConnectionLoss(cause)) throw new UnreachableError(what, { cause });
    throw new RefusedError(what, {
      remedy: "connect as the role that owns them, or set keylessTables to insertsOnly",
      cause,
    });
  }
  return tables.map((table) =>
    keyless.includes(table)
      ? { ...table, replicaIdentity: "full" as const, identityColumns: table.columns.map(({ name }) => name) }
      : table,
  );
}

/**
 * Restores the replica identities that {@link setReplicaIdentityFull} replaced; idempotent. If another migration also
 * replicates a table, that migration resets it later: an UPDATE of a published table without a replica identity fails. Call
 * it within {@link withReplicaIdentityTransfer}.
 *
 * @returns statements that remain for the user to execute
 */
export async function resetReplicaIdentities(source: Client, publication: string): Promise<readonly string[]> {
  const own = await readIdentities(source, publication);
  if (Object.keys(own).length === 0) return [];
  const notes: string[] = [];
  // Stop publishing updates first: an UPDATE of a published table without a replica identity fails.
  await source.query(`ALTER PUBLICATION ${quoteIdentifier(publication)} SET (publish = 'insert')`);
  const others = await otherPublications(source, publication);
  for (const [other, tables] of others) {
    const shared = Object.entries(own).filter(([table]) => tables.has(table));
    if (shared.length > 0) notes.push(...(await transferIdentities(source, other, Object.fromEntries(shared))));
  }
  const notShared = Object.entries(own).filter(([table]) => [...others.values()].every((tables) => !tables.has(table)));
  if (notShared.length === 0) return notes;
  const { rows } = await source.query<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relreplident = 'f'`,
  );
  const full = new Set(rows.map(({ schema, name }) => qualify(schema, name)));
  for (const [name, identity] of notShared.filter(([table]) => full.has(table)))
    await alterTable(source, name, [`ALTER TABLE ${name} REPLICA IDENTITY ${identity}`]);
  return notes;
}

/** An advisory lock in the source's database. Its holder may change the comments that list replica identities. */
const identityLock = 1885433709;

/**
 * Holds the lock for {@link resetReplicaIdentities} until the publication is dropped. The publication that takes over a table
 * cannot be dropped at the same time.
 */
export async function withReplicaIdentityTransfer<Result>(
  source: Client,
  work: () => Promise<Result>,
): Promise<Result> {
  await source.query("SELECT pg_catalog.pg_advisory_lock($1)", [identityLock]);
  try {
    return await work();
  } finally {
    // Report the error of `work`. An ended session has released the lock.
    await source.query("SELECT pg_catalog.pg_advisory_unlock($1)", [identityLock]).catch(() => undefined);
  }
}

/** @throws RefusedError if another migration holds the lock for too long */
async function recordIdentities(source: Client, publication: string, tables: ReplicaIdentities): Promise<void> {
  try {
    await source.query(`BEGIN; SET LOCAL lock_timeout = '${lockTimeoutSeconds}s'`);
    await source.query("SELECT pg_catalog.pg_advisory_xact_lock($1)", [identityLock]);
    await writeIdentities(source, publication, { ...(await readIdentities(source, publication)), ...tables });
    await source.query("COMMIT");
  } catch (cause) {
    // Report the first error. A lost connection has rolled back.
    await source.query("ROLLBACK").catch(() => undefined);
    if (!isLockTimeout(cause)) throw cause;
    throw new RefusedError(
      `the tables that get REPLICA IDENTITY FULL cannot be recorded while another migration resets its own: ${messageOf(cause)}`,
      { remedy: "run pulumi up again when that migration has ended", cause },
    );
  }
}

/**
 * Adds the tables to the comment of another migration's publication. If that publication belongs to another role, returns the
 * statements with which the user resets the tables later.
 */
async function transferIdentities(
  source: Client,
  publication: string,
  tables: ReplicaIdentities,
): Promise<readonly string[]> {
  try {
    await writeIdentities(source, publication, { ...tables, ...(await readIdentities(source, publication)) });
    return [];
  } catch (error) {
    if (sqlStateOf(error) !== sqlStates.insufficientPrivilege) throw error;
    const resets = Object.entries(tables).map(([name, identity]) => `ALTER TABLE ${name} REPLICA IDENTITY ${identity}`);
    return [
      `publication ${publication} of another role still needs REPLICA IDENTITY FULL. After it was dropped: ${resets.join("; ")}`,
    ];
  }
}

/** The publications of other migrations, with the tables, qualified and quoted, whose updates they publish. */
async function otherPublications(source: Client, publication: string): Promise<Map<string, Set<string>>> {
  const { rows } = await source.query<{ publication: string; schema: string; name: string }>(
    `SELECT p.pubname AS publication, n.nspname AS schema, c.relname AS name
       FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
       JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE p.pubupdate AND left(p.pubname, length($2)) = $2 AND p.pubname <> $1`,
    [publication, sourceObjectPrefix],
  );
  const others = new Map<string, Set<string>>();
  for (const row of rows)
    others.set(row.publication, (others.get(row.publication) ?? new Set()).add(qualify(row.schema, row.name)));
  return others;
}

async function writeIdentities(source: Client, publication: string, tables: ReplicaIdentities): Promise<void> {
  const comment = quoteLiteral(commentPrefix + JSON.stringify(tables));
  await source.query(`COMMENT ON PUBLICATION ${quoteIdentifier(publication)} IS ${comment}`);
}

/** The former replica identity of each table, by the table's name, qualified and quoted. */
export type ReplicaIdentities = Readonly<Record<string, "DEFAULT" | "NOTHING">>;

const tableName = String.raw`"([^"\\\x01-\x1f]|\\["\\bfnrt]|\\u00(0[1-9a-f]|1[0-9a-f]))*"`;
const oneIdentity = `${tableName}:"(DEFAULT|NOTHING)"`;

/**
 * What {@link writeIdentities} writes after the prefix, for JavaScript and for SQL. Every role with CREATE on the database can create
 * a publication with such a comment, and its values become parts of statements.
 */
const listOfIdentities = String.raw`^\{(${oneIdentity}(,${oneIdentity})*)?\}$`;

/** SQL: the former replica identities in a publication's comment, as JSON; NULL for another comment. */
export const identityMark = (comment: string): string => {
  const list = `substr(${comment}, ${commentPrefix.length + 1})`;
  return `CASE WHEN left(${comment}, ${commentPrefix.length}) = '${commentPrefix}' AND ${list} ~ '${listOfIdentities}' THEN ${list}::json END`;
};

/** The tables that got REPLICA IDENTITY FULL for a publication, from the publication's comment. */
export function tablesMarkedBy(comment: string): ReplicaIdentities {
  const list = comment.startsWith(commentPrefix) ? comment.slice(commentPrefix.length) : "";
  return new RegExp(listOfIdentities).test(list) ? (JSON.parse(list) as ReplicaIdentities) : {};
}

async function readIdentities(source: Client, publication: string): Promise<ReplicaIdentities> {
  const { rows } = await source.query<{ comment: string | null }>(
    "SELECT obj_description(oid, 'pg_publication') AS comment FROM pg_publication WHERE pubname = $1",
    [publication],
  );
  return tablesMarkedBy(rows[0]?.comment ?? "");
}
