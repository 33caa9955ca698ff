import type { Client, QueryResult } from "pg";
import { RefusedError, UnreachableError, messageOf } from "../errors.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { qualify, quoteIdentifier, quoteLiteral, relationKey } from "../postgres/identifiers.js";
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
  /**
   * Runs when all rows are sent and before the COMMIT of the target's transaction, to record that this copy is complete.
   *
   * @param transaction the ID of the transaction in the form of txid_status, which works from every database of the server
   */
  readonly beforeCommit?: ((relayed: readonly Relayed[], transaction: string) => Promise<void>) | undefined;
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
  return inTransaction(target, [table], (begun) => {
    const before = copy.part === undefined ? emptying(copy, begun) : undefined;
    return relayCopy({
      what: qualify(table.schema, table.name),
      source: copy.source,
      target,
      before: before?.sql,
      copyOut: copyOut(copy),
      copyIn: copyIn(copy, before?.allowsFreeze ?? false),
      onProgress: copy.onProgress,
      onSent: recording(copy, begun),
      signal: copy.signal,
      rate: copy.rate,
    });
  });
}

const recording =
  ({ beforeCommit }: Pick<TableCopy, "beforeCommit">, { transaction }: Begun) =>
  (relayed: readonly Relayed[]): Promise<void> =>
    beforeCommit?.(relayed, transaction) ?? Promise.resolve();

/** Removes the target's rows before a table is copied in parts. @throws RefusedError, UnreachableError */
export async function emptyTarget(target: Client, table: SizedTable): Promise<void> {
  await naming(table, async () => {
    const { rows } = await target.query<Emptied>(`SELECT ${emptied([table])}`);
    await target.query(emptying({ table }, rows[0]!).sql);
  });
}

/** Runs statements on the target, and names their table if one fails. */
async function naming<Result>(table: Table | undefined, run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    if (!table) throw error;
    const what = `${qualify(table.schema, table.name)} on the target: ${messageOf(error)}`;
    if (isConnectionLoss(error)) throw new UnreachableError(what, { cause: error });
    throw new RefusedError(what, { remedy: "the target's role has to own the table", cause: error });
  }
}

/** What a copy needs to know from the target to remove the former rows of a table. */
interface Emptied {
  /** Whether a foreign key of another table references the only table. */
  readonly isReferenced: boolean;
  /** Schemas and names of the tables of which the server deletes no rows. */
  readonly undeletable: readonly (readonly [string, string])[];
}

interface Begun extends Emptied {
  readonly transaction: string;
}

const emptied = (tables: readonly Table[]): string =>
  `${tables.length === 1 ? isReferenced(tables[0]!) : "false"} AS "isReferenced", ${undeletableTables(tables)} AS undeletable`;

/** Begins a transaction, in one round trip. */
async function begin(target: Client, tables: readonly Table[]): Promise<Begun> {
  const results = await target.query(
    `BEGIN; SELECT pg_catalog.txid_current()::text AS transaction, ${emptied(tables)}`,
  );
  // The result of several statements is a list.
  return (results as unknown as readonly QueryResult<Begun>[])[1]!.rows[0]!;
}

async function inTransaction<Result>(
  target: Client,
  tables: readonly Table[],
  copy: (begun: Begun) => Promise<Result>,
): Promise<Result> {
  const table = tables.length === 1 ? tables[0] : undefined;
  try {
    const result = await copy(await naming(table, () => begin(target, tables)));
    await naming(table, () => target.query("COMMIT"));
    return result;
  } catch (error) {
    // Keep the first error. After a lost connection the server rolls back by itself.
    await target.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

/**
 * The statement that removes the rows that a copy replaces, and whether the copy may use FREEZE: only if the table was
 * created or truncated in its transaction.
 */
function emptying(
  rows: Pick<TableCopy, "table" | "condition">,
  target: Emptied,
): { readonly sql: string; readonly allowsFreeze: boolean } {
  const { table, condition } = rows;
  // TRUNCATE creates new files and removes the old ones, which takes longer than the copy of a few rows. FREEZE saves a
  // later vacuum, which is negligible for few pages.
  const isFew = condition !== undefined || isSmall(table);
  // TRUNCATE fails for a table referenced by another one, and CASCADE must never empty that table.
  const deletes = (isFew || target.isReferenced) && !isUndeletable(rows, target);
  return deletes ? { sql: deleteRows(rows), allowsFreeze: false } : { sql: truncate(table), allowsFreeze: true };
}

const truncate = ({ schema, name }: Table): string => `TRUNCATE ONLY ${qualify(schema, name)}`;

const isUndeletable = (
  { table, condition }: Pick<TableCopy, "table" | "condition">,
  { undeletable }: Pick<Emptied, "undeletable">,
): boolean =>
  condition === undefined && undeletable.some(([schema, name]) => relationKey({ schema, name }) === relationKey(table));

/**
 * SQL expression: which tables have no replica identity while a publication of a user sends deletes. The server then refuses
 * DELETE, also in an empty table. The key of a new table is created only after its copy. A referenced table cannot be truncated,
 * and DELETE succeeds unless the publication has the table. Names are qualified as in {@link isReferenced}.
 */
const undeletableTables = (tables: readonly Table[]): string => `(
  SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, c.relname)), '[]')
    FROM ROWS FROM (${unnested(tables.map(({ schema }) => schema))}, ${unnested(tables.map(({ name }) => name))}) AS wanted (schema, name)
    JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) wanted.schema
    JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid AND c.relname OPERATOR(pg_catalog.=) wanted.name
   WHERE EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubdelete)
     AND c.relreplident OPERATOR(pg_catalog.<>) 'f'
     AND NOT EXISTS (
       SELECT FROM pg_catalog.pg_index i
        WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid AND i.indimmediate
          AND (i.indisreplident OR (c.relreplident OPERATOR(pg_catalog.=) 'd' AND i.indisprimary)))
     AND NOT ${hasReferences("c.oid")})`;

const hasReferences = (oid: string): string => `EXISTS (
  SELECT FROM pg_catalog.pg_constraint r
   WHERE r.contype OPERATOR(pg_catalog.=) 'f' AND r.confrelid OPERATOR(pg_catalog.=) ${oid} AND r.conrelid OPERATOR(pg_catalog.<>) r.confrelid)`;

const unnested = (names: readonly string[]): string =>
  `pg_catalog.unnest(ARRAY[${names.map(quoteLiteral).join(", ")}]::pg_catalog.name[])`;

/**
 * SQL expression: whether a foreign key of another table references this one. Names are qualified, because the session
 * has the search_path of the database, whose operators could replace those of PostgreSQL.
 */
const isReferenced = ({ schema, name }: Table): string => `EXISTS (
  SELECT FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
   WHERE n.nspname OPERATOR(pg_catalog.=) ${quoteLiteral(schema)} AND c.relname OPERATOR(pg_catalog.=) ${quoteLiteral(name)}
     AND ${hasReferences("c.oid")})`;

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
  return inTransaction(
    target,
    tables.map(({ table }) => table),
    (begun) =>
      relayCopies({
        source,
        target,
        copies: tables.map((rows) => ({
          what: qualify(rows.table.schema, rows.table.name),
          before: isUndeletable(rows, begun) ? truncate(rows.table) : deleteRows(rows),
          copyOut: copyOut(rows),
          copyIn: copyIn(rows, false),
        })),
        onSent: recording({ beforeCommit }, begun),
        signal,
        rate,
        onFailed,
      }),
  );
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
