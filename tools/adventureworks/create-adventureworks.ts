import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { Client } from "pg";
import { catalogue, nameOf, type Table } from "./catalogue";
import { dataOf } from "./data/adventureworks-data";
import { worldAt } from "./data/world";
import { loadTable } from "./load/load-table";
import { addForeignKeys, addPrimaryKey, createTables, setSequences } from "./schema/tables";

/** Connection settings of an existing database. */
export interface Connection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

export interface Progress {
  /** The completed step: a table's name, or a sentence. */
  readonly step: string;
  /** Loaded rows. */
  readonly rows: number;
  /** All rows to load. */
  readonly totalRows: number;
}

export interface Options {
  /** Factor of the real row counts, for example 0.01 or 10. Reference tables are the same at any scale. */
  readonly scale: number;
  readonly onProgress?: (progress: Progress) => void;
}

export interface Created {
  readonly tables: number;
  readonly rows: number;
  readonly seconds: number;
}

/** The scale is not a positive number. */
export class InvalidScaleError extends Error {
  override readonly name = "InvalidScaleError";
}

/** The database already has a schema of AdventureWorks. Nothing was changed. */
export class DatabaseNotEmptyError extends Error {
  override readonly name = "DatabaseNotEmptyError";
}

const parallelLoads = 3;

/**
 * Creates AdventureWorks in an empty database. The same scale gives the same content. The user owns the database or is a
 * superuser. Before PostgreSQL 13, an owner needs both extensions to exist already. A failure leaves a partial database.
 *
 * @throws InvalidScaleError, DatabaseNotEmptyError, and errors of `pg`
 */
export async function createAdventureWorks(connection: Connection, options: Options): Promise<Created> {
  const { scale } = options;
  if (!Number.isFinite(scale) || scale <= 0)
    throw new InvalidScaleError(`invalid scale ${scale}: expected a number above 0`);
  const started = performance.now();
  const world = worldAt(scale);
  const loads = catalogue.tables.map((table) => ({ table, data: dataOf(table, world) }));
  const totalRows = loads.reduce((sum, { data }) => sum + data.count, 0);
  let rows = 0;
  const report = (step: string) => options.onProgress?.({ step, rows, totalRows });

  const client = await connect(connection);
  try {
    await refuseFilled(client, connection.database);
    await inTransaction(client, [...createTables(catalogue), await sql("functions")]);
    report("tables are created");
    await loadAll(connection, loads, (load) => {
      rows += load.data.count;
      report(nameOf(load.table));
    });
    await finish(client, report);
  } finally {
    await client.end();
  }
  return { tables: loads.length, rows, seconds: (performance.now() - started) / 1000 };
}

interface Load {
  readonly table: Table;
  readonly data: ReturnType<typeof dataOf>;
}

/** Loads tables and builds their primary keys in a few sessions, the largest tables first. */
async function loadAll(connection: Connection, loads: readonly Load[], onLoaded: (load: Load) => void): Promise<void> {
  const waiting = [...loads].sort((one, other) => other.data.count - one.data.count);
  const worker = async () => {
    const client = await connect(connection);
    try {
      for (let load = waiting.shift(); load; load = waiting.shift()) {
        await loadTable(client, load.table, load.data);
        await client.query(addPrimaryKey(load.table));
        onLoaded(load);
      }
    } catch (error) {
      waiting.length = 0;
      throw error;
    } finally {
      await client.end();
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: parallelLoads }, worker));
  const failure = outcomes.find((outcome) => outcome.status === "rejected");
  if (failure) throw failure.reason;
}

/** Creates the objects that need rows, or are created faster after them. */
async function finish(client: Client, report: (step: string) => void): Promise<void> {
  await inTransaction(client, [await sql("indexes"), await sql("checks")]);
  report("indexes and check constraints are there");
  await inTransaction(client, catalogue.tables.flatMap(addForeignKeys));
  report("foreign keys are checked");
  await inTransaction(client, [
    ...catalogue.tables.flatMap(setSequences),
    await sql("views"),
    await sql("materialized-views"),
    await sql("triggers"),
    await sql("comments"),
  ]);
  await client.query("ANALYZE");
  report("views and statistics are there");
}

async function connect(connection: Connection): Promise<Client> {
  const { host, port, user, password, database } = connection;
  const client = new Client({ host, port, user, password, database, application_name: "adventureworks" });
  // Without a listener, a lost idle session would end the process. With it, the next query fails.
  client.on("error", () => undefined);
  await client.connect();
  // The catalogue names domains and extensions' functions without their schema.
  await client.query("SET search_path = public; SET synchronous_commit = off; SET client_min_messages = warning");
  return client;
}

async function refuseFilled(client: Client, database: string): Promise<void> {
  const ours = [...new Set(catalogue.tables.map((table) => table.schema))];
  const found = await client.query<{ nspname: string }>("SELECT nspname FROM pg_namespace WHERE nspname = ANY ($1)", [
    ours,
  ]);
  if (found.rows.length === 0) return;
  const names = found.rows.map((row) => row.nspname).join(", ");
  throw new DatabaseNotEmptyError(`database ${database} already has ${names}: AdventureWorks needs an empty database`);
}

async function inTransaction(client: Client, statements: readonly string[]): Promise<void> {
  await client.query("BEGIN");
  try {
    for (const statement of statements) await client.query(statement);
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  }
}

function sql(name: "checks" | "comments" | "functions" | "indexes" | "materialized-views" | "triggers" | "views") {
  return readFile(join(__dirname, "schema", `${name}.sql`), "utf8");
}
