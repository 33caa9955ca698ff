import type { Client } from "pg";
import { RefusedError, UnreachableError, messageOf } from "../errors.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { qualify, quoteIdentifier } from "../postgres/identifiers.js";
import { type SizedTable, type Table, storedColumns } from "../postgres/tables.js";
import type { CopyFormat } from "./format.js";
import { type Relayed, relayCopies, relayCopy } from "./relay.js";
import { isSmall } from "./tables-to-copy.js";

export interface TableCopy {
  /** A session in the snapshot, inside its transaction. */
  readonly source: Client;
  /** A session outside a transaction; `session_replication_role` is the caller's to set. */
  readonly target: Client;
  /** The table as the source has it. */
  readonly table: SizedTable;
  readonly format: CopyFormat;
  /** Only these rows, as an SQL condition: an extension's, of {@link TableToCopy}. They replace the same on the target. */
  readonly condition?: string | undefined;
  /** Only these rows, one part of several: they are added, and {@link emptyTarget} has to have run before the first. */
  readonly part?: string | undefined;
  readonly onProgress?: ((bytes: number, rows: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Runs inside the target's transaction before its COMMIT, to write down there that this copy is done. */
  readonly beforeCommit?: ((relayed: readonly Relayed[]) => Promise<void>) | undefined;
}

/**
 * Copies a table's rows in one transaction on the target. A copy of the whole table replaces what the target has, so it
 * can be repeated; a part is added, so whether it was done has to be known: write it down in `beforeCommit`.
 *
 * After a failure the target is rolled back; the source's transaction has failed too, so another session has to be opened
 * in the snapshot.
 *
 * @throws what {@link relayCopy} throws
 */
export async function copyTable(copy: TableCopy): Promise<Relayed> {
  const { target, table } = copy;
  await run(copy, "BEGIN");
  try {
    const frozen = copy.part === undefined && (await makeRoom(copy));
    const relayed = await relayCopy({
      what: qualify(table.schema, table.name),
      source: copy.source,
      target,
      copyOut: copyOut(copy),
      copyIn: copyIn(copy, frozen),
      onProgress: copy.onProgress,
      signal: copy.signal,
    });
    await copy.beforeCommit?.([relayed]);
    await run(copy, "COMMIT");
    return relayed;
  } catch (error) {
    // Where the connection is lost the server rolls back by itself; the first error is the one to tell.
    await target.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

/** Removes the target's rows of a table that is then copied in parts. */
export async function emptyTarget(target: Client, table: SizedTable): Promise<void> {
  await makeRoom({ target, table });
}

/** Removes the rows that the copy replaces. Answers whether the table is now new to this transaction, for FREEZE. */
async function makeRoom(copy: Pick<TableCopy, "target" | "table" | "condition">): Promise<boolean> {
  const name = qualify(copy.table.schema, copy.table.name);
  // A truncated table gets new files, and its old ones are unlinked: for a few rows that takes longer than their copy.
  // Freezing spares a later vacuum the rewriting of pages: so few are not worth it.
  const isFew = copy.condition !== undefined || isSmall(copy.table);
  // TRUNCATE refuses a table that another one references, and CASCADE must never empty that other one.
  if (isFew || (await isReferenced(copy))) {
    await run(copy, deleteRows(copy));
    return false;
  }
  await run(copy, `TRUNCATE ONLY ${name}`);
  return true;
}

async function isReferenced({ target, table }: Pick<TableCopy, "target" | "table">): Promise<boolean> {
  const { rows } = await target.query<{ referenced: boolean }>(
    `SELECT EXISTS (
       SELECT FROM pg_constraint r
         JOIN pg_class c ON c.oid = r.confrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE r.contype = 'f' AND r.conrelid <> r.confrelid AND n.nspname = $1 AND c.relname = $2) AS referenced`,
    [table.schema, table.name],
  );
  return rows[0]!.referenced;
}

/** The rows of one table, on their way. */
export type TableRows = Pick<TableCopy, "table" | "format" | "condition">;

export interface SmallTablesCopy extends Pick<TableCopy, "source" | "target" | "signal" | "beforeCommit"> {
  /** Told which table was refused, by its position, before that is thrown. */
  readonly onFailed?: ((position: number) => void) | undefined;
}

/**
 * Copies the rows of several small tables in one transaction on the target and two round trips: for a few rows each,
 * those would take longer than the rows. As {@link copyTable}, it replaces what the target has, and has done nothing where
 * it fails.
 *
 * @throws what {@link relayCopies} throws
 */
export async function copySmallTables(
  tables: readonly TableRows[],
  { source, target, signal, onFailed, beforeCommit }: SmallTablesCopy,
): Promise<Relayed[]> {
  await target.query("BEGIN");
  try {
    const relayed = await relayCopies({
      source,
      target,
      copies: tables.map((rows) => ({
        what: qualify(rows.table.schema, rows.table.name),
        before: deleteRows(rows),
        copyOut: copyOut(rows),
        copyIn: copyIn(rows, false),
      })),
      signal,
      onFailed,
    });
    await beforeCommit?.(relayed);
    await target.query("COMMIT");
    return relayed;
  } catch (error) {
    await target.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

function deleteRows({ table, condition }: Pick<TableCopy, "table" | "condition">): string {
  const all = `DELETE FROM ONLY ${qualify(table.schema, table.name)}`;
  return condition === undefined ? all : `${all} WHERE ${condition}`;
}

/** `COPY t TO` reads the table's own rows only, and faster than a query; a query is needed for some of the rows. */
function copyOut({ table, format, condition, part }: TableRows & Pick<TableCopy, "part">): string {
  const name = qualify(table.schema, table.name);
  const only = [condition, part].filter((each) => each !== undefined);
  const options = `WITH (FORMAT ${format})`;
  if (only.length === 0) return `COPY ${name}${columnList(table)} TO STDOUT ${options}`;
  const where = only.map((each) => `(${each})`).join(" AND ");
  return `COPY (SELECT ${columnNames(table)} FROM ONLY ${name} WHERE ${where}) TO STDOUT ${options}`;
}

function copyIn({ table, format }: TableRows, frozen: boolean): string {
  const freeze = frozen ? ", FREEZE" : "";
  return `COPY ${qualify(table.schema, table.name)}${columnList(table)} FROM STDIN WITH (FORMAT ${format}${freeze})`;
}

const columnNames = (table: Table): string =>
  storedColumns(table)
    .map((column) => quoteIdentifier(column.name))
    .join(", ");

/** Without stored columns there is no list to write, and COPY takes all that are stored anyway: none. */
const columnList = (table: Table): string => (storedColumns(table).length === 0 ? "" : ` (${columnNames(table)})`);

async function run({ target, table }: Pick<TableCopy, "target" | "table">, sql: string): Promise<void> {
  try {
    await target.query(sql);
  } catch (error) {
    const what = `${qualify(table.schema, table.name)} on the target: ${messageOf(error)}`;
    if (isConnectionLoss(error)) throw new UnreachableError(what, { cause: error });
    throw new RefusedError(what, { remedy: "the target's role has to own the table", cause: error });
  }
}
