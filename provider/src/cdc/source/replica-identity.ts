import type { Client } from "pg";
import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { alterTable, isLockTimeout, lockTimeoutSeconds } from "../../postgres/locks/lock-waits.js";
import { qualify, quoteIdentifier, quoteLiteral } from "../../postgres/identifiers.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import type { Column, Table } from "../../postgres/tables.js";
import { sourceObjectPrefix } from "../model/names.js";

/*
 * Which tables get REPLICA IDENTITY FULL from us is written into the publication's comment before any of them does: so
 * whoever drops the publication, from whatever machine and after whatever crash, knows what to reset. Each table is
 * then altered in a transaction of its own: of a session that held one and waited for another, the source's
 * applications would be the victims.
 */

/**
 * From it on a published UPDATE or DELETE fails where the replica identity has a generated column that is not
 * published; and one that is stored may be.
 */
const firstVersionThatRefuses = 180000;

/** What a stream, or one that is about to begin, tells of the source's rows. */
export interface PublicationCapabilities {
  readonly version: number;
  /** Generated columns that are stored, too. */
  readonly generated: boolean;
}

/** The most that a publication on a source of this version may tell. */
export const maxCapabilities = (version: number): PublicationCapabilities => ({
  version,
  generated: version >= firstVersionThatRefuses,
});

/** Whether the stream tells which of the table's rows was updated or deleted. */
export function hasReplicaIdentity(
  { columns, identityColumns, replicaIdentity }: Table,
  telling: PublicationCapabilities,
): boolean {
  // A row of a table without columns equals every other one: any of them can be deleted.
  if (columns.length === 0) return replicaIdentity === "full";
  if (identityColumns.length === 0) return false;
  const identity = columns.filter(({ name }) => identityColumns.includes(name));
  if (identity.every((column) => isTold(column, telling))) return true;
  return replicaIdentity === "full" && telling.version < firstVersionThatRefuses;
}

/** Whether REPLICA IDENTITY FULL, set by us and reset again, would do for a table whose rows have no identity. */
export function canUseReplicaIdentityFull(table: Table, telling: PublicationCapabilities): boolean {
  const { columns, identityColumns, replicaIdentity } = table;
  const isChosen = replicaIdentity === "index" && identityColumns.length > 0;
  const isRefused = telling.version >= firstVersionThatRefuses && !columns.every((column) => isTold(column, telling));
  return !isChosen && !isRefused;
}

const isTold = ({ generated }: Column, telling: PublicationCapabilities): boolean =>
  generated === undefined || (generated === "stored" && telling.generated);

const mark = "REPLICA IDENTITY FULL set by pulumi-pg-migration, to be reset: ";

/**
 * Sets REPLICA IDENTITY FULL on the tables whose rows have no identity, so that their updates and deletes can be
 * followed. The publication has to exist. What was set before an error stays noted, and is reset with the rest.
 *
 * @returns the tables as they are now
 * @throws RefusedError when the role does not own one of them, or it stays locked
 */
export async function setReplicaIdentityFull(
  source: Client,
  publication: string,
  tables: readonly Table[],
  telling: PublicationCapabilities,
): Promise<readonly Table[]> {
  const keyless = tables.filter(
    (table) =>
      !table.partitioned &&
      !table.unlogged &&
      !hasReplicaIdentity(table, telling) &&
      canUseReplicaIdentityFull(table, telling),
  );
  if (keyless.length === 0) return tables;
  const names = keyless.map(({ schema, name }) => qualify(schema, name));
  const now: MarkedTables = Object.fromEntries(
    keyless.map(({ replicaIdentity }, index) => [names[index]!, replicaIdentity === "nothing" ? "NOTHING" : "DEFAULT"]),
  );
  await addToMark(source, publication, now);
  try {
    for (const name of names) await alterTable(source, name, [`ALTER TABLE ${name} REPLICA IDENTITY FULL`]);
  } catch (cause) {
    // That one stays locked says it all.
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
 * Gives the tables that {@link setReplicaIdentityFull} has set back what they had; idempotent. Those that another migration
 * follows, too, it is given to reset: without a replica identity their updates would fail in the source's applications.
 * Runs within {@link withReplicaIdentityTransfer}.
 *
 * @returns what is left for somebody to do
 */
export async function resetReplicaIdentities(source: Client, publication: string): Promise<readonly string[]> {
  const own = await markedTables(source, publication);
  if (Object.keys(own).length === 0) return [];
  const notes: string[] = [];
  // A table whose updates are published, and which has no replica identity, cannot be updated by the source's applications.
  await source.query(`ALTER PUBLICATION ${quoteIdentifier(publication)} SET (publish = 'insert')`);
  const others = await otherFollowers(source, publication);
  for (const [heir, tables] of others) {
    const handed = Object.entries(own).filter(([table]) => tables.has(table));
    if (handed.length > 0) notes.push(...(await handOn(source, heir, Object.fromEntries(handed))));
  }
  const marked = Object.entries(own).filter(([table]) => [...others.values()].every((tables) => !tables.has(table)));
  if (marked.length === 0) return notes;
  const { rows } = await source.query<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relreplident = 'f'`,
  );
  const full = new Set(rows.map(({ schema, name }) => qualify(schema, name)));
  for (const [name, identity] of marked.filter(([table]) => full.has(table)))
    await alterTable(source, name, [`ALTER TABLE ${name} REPLICA IDENTITY ${identity}`]);
  return notes;
}

/** Class of an advisory lock in the source's database: who hands on what is marked, or adds to it, has it alone. */
const markLock = 1885433709;

/**
 * Holds the lock under which {@link resetReplicaIdentities} hands on, and its publication is dropped: no heir may be
 * about to go.
 */
export async function withReplicaIdentityTransfer<Result>(
  source: Client,
  work: () => Promise<Result>,
): Promise<Result> {
  await source.query("SELECT pg_catalog.pg_advisory_lock($1)", [markLock]);
  try {
    return await work();
  } finally {
    // The error is the one to tell; a session that has ended has let go of it.
    await source.query("SELECT pg_catalog.pg_advisory_unlock($1)", [markLock]).catch(() => undefined);
  }
}

/** @throws RefusedError when another migration does not come to the end of handing on */
async function addToMark(source: Client, publication: string, tables: MarkedTables): Promise<void> {
  try {
    await source.query(`BEGIN; SET LOCAL lock_timeout = '${lockTimeoutSeconds}s'`);
    await source.query("SELECT pg_catalog.pg_advisory_xact_lock($1)", [markLock]);
    await writeMark(source, publication, { ...(await markedTables(source, publication)), ...tables });
    await source.query("COMMIT");
  } catch (cause) {
    // The error is the one to tell; a connection that is lost has rolled back.
    await source.query("ROLLBACK").catch(() => undefined);
    if (!isLockTimeout(cause)) throw cause;
    throw new RefusedError(
      `which tables get REPLICA IDENTITY FULL cannot be noted while another migration gives its own back: ${messageOf(cause)}`,
      { remedy: "try again when that migration has ended", cause },
    );
  }
}

/**
 * Another role's publication is not ours to comment on: its migration goes on, and what is to be reset behind it is
 * told.
 */
async function handOn(source: Client, heir: string, tables: MarkedTables): Promise<readonly string[]> {
  try {
    await writeMark(source, heir, { ...tables, ...(await markedTables(source, heir)) });
    return [];
  } catch (error) {
    if (sqlStateOf(error) !== sqlStates.insufficientPrivilege) throw error;
    const resets = Object.entries(tables).map(([name, identity]) => `ALTER TABLE ${name} REPLICA IDENTITY ${identity}`);
    return [
      `publication ${heir} of another role still needs REPLICA IDENTITY FULL; when it is gone: ${resets.join("; ")}`,
    ];
  }
}

/** By the publications of other migrations: the tables, qualified and quoted, whose updates they publish. */
async function otherFollowers(source: Client, publication: string): Promise<Map<string, Set<string>>> {
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

async function writeMark(source: Client, publication: string, tables: MarkedTables): Promise<void> {
  const comment = quoteLiteral(mark + JSON.stringify(tables));
  await source.query(`COMMENT ON PUBLICATION ${quoteIdentifier(publication)} IS ${comment}`);
}

/** What each table had before, by its name, qualified and quoted. */
export type MarkedTables = Readonly<Record<string, "DEFAULT" | "NOTHING">>;

/** Of which tables a publication's comment says that they were given REPLICA IDENTITY FULL for its sake. */
export const tablesMarkedBy = (comment: string): MarkedTables =>
  comment.startsWith(mark) ? (JSON.parse(comment.slice(mark.length)) as MarkedTables) : {};

async function markedTables(source: Client, publication: string): Promise<MarkedTables> {
  const { rows } = await source.query<{ comment: string | null }>(
    "SELECT obj_description(oid, 'pg_publication') AS comment FROM pg_publication WHERE pubname = $1",
    [publication],
  );
  return tablesMarkedBy(rows[0]?.comment ?? "");
}
