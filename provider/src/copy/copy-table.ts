import type { Client } from "pg";
import { RefusedError, UnreachableError, messageOf } from "../errors.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { qualify, quoteIdentifier } from "../postgres/identifiers.js";
import { type SizedTable, type Table, storedColumns } from "../postgres/tables.js";
import type { CopyRate } from "./copy-rate.js";
import type { CopyFormat } from "./format.js";
import { type Relayed, relayCopies, relayCopy } from "./relay.js";
import { isSmall } from "./tables-to-copy.js";

export interface TableCopy {
  /** A session in a transaction with the snapshot. */
  readonly source: Client;
  /** A session outside a transaction. The caller sets `session_replication_role`. */
  readonly target: Client;
  /** The table as defined on the source. */
  readonly table: SizedTable;
  readonly format: CopyFormat;
  /**
   * SQL condition of an extension's table, from {@link TableToCopy}. Its rows replace the target's rows with the same
   * condition.
   */
  readonly condition?: string | undefined;
  /**
   * SQL condition of one of several parts. Rows are added, so that {@link emptyTarget} has to run before the first
   * part.
   */
  readonly part?: string | undefined;
  readonly onProgress?: ((bytes: number, rows: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Limits reading from the source, together with other copies. */
  readonly rate?: CopyRate | undefined;
  /** Runs in the target's transaction before its COMMIT, to record there that this copy is complete. */
  readonly beforeCommit?: ((relayed: readonly Relayed[]) => Promise<void>) | undefined;
}

/**
 * Copies a table's rows in one transaction on the target. A copy of the whole table replaces the target's rows, so that
 * it can be repeated. The rows of a part are added, so that `beforeCommit` has to record its completion.
 *
 * After a failure the target is rolled back. The source's transaction has failed as well, so that another session has
 * to be opened in the snapshot.
 *
 * @throws the errors of {@link relayCopy}
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
      rate: copy.rate,
    });
    await copy.beforeCommit?.([relayed]);
    await run(copy, "COMMIT");
    return relayed;
  } catch (error) {
    // Keep the first error. After a lost connection the server rolls back by itself.
    await target.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

/** Removes the target's rows before a table is copied in parts. */
export async function emptyTarget(target: Client, table: SizedTable): Promise<void> {
  await makeRoom({ target, table });
}

/**
 * Removes the rows that the copy replaces. Returns whether the table was created or truncated in this transaction, so
 * that FREEZE is possible.
 */
async function makeRoom(copy: Pick<TableCopy, "target" | "table" | "condition">): Promise<boolean> {
  const name = qualify(copy.table.schema, copy.table.name);
  // TRUNCATE creates new files and removes the old ones, which takes longer than the copy of a few rows. FREEZE saves a
  // later vacuum, which is negligible for few pages.
  const isFew = copy.condition !== undefined || isSmall(copy.table);
  // TRUNCATE fails for a table referenced by another one, and CASCADE must never empty that table.
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

/** The rows of one table that are being copied. */
export type TableRows = Pick<TableCopy, "table" | "format" | "condition">;

export interface SmallTablesCopy extends Pick<TableCopy, "source" | "target" | "signal" | "rate" | "beforeCommit"> {
  /** Called with the position of the failed table before its error is thrown. */
  readonly onFailed?: ((position: number) => void) | undefined;
}

/**
 * Copies several small tables in one transaction and two round trips, because round trips take longer than a few rows.
 * Like {@link copyTable}, it replaces the target's rows, and a failure changes nothing.
 *
 * @throws the errors of {@link relayCopies}
 */
export async function copySmallTables(
  tables: readonly TableRows[],
  { source, target, signal, rate, onFailed, beforeCommit }: SmallTablesCopy,
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
      rate,
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

/** `COPY t TO` is faster than a query, and reads only the table's own rows. A condition requires a query. */
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

/**
 * A table without stored columns has no list, because SQL has no empty list. COPY without a list copies all stored
 * columns: none.
 */
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
