import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { QueryResultRow } from "pg";
import { type Course, environment } from "../contenders";
import { removeFilesOfServers, filesOfServers } from "./files-of-servers";
import { inParallel, oneByOne, type Task } from "./in-parallel";

const run = promisify(execFile);

/** Rows of a table that one statement copies. */
interface Part {
  readonly table: string;
  readonly query: string;
  readonly file: string;
}

/** What the servers do in each copy of a database. */
interface Work {
  readonly tables: readonly string[];
  /** They attach partitions, and must follow the tables. */
  readonly laterStatements: readonly string[];
  readonly parts: readonly Part[];
  /** Statements that build the indexes of a table. */
  readonly indexes: ReadonlyMap<string, readonly string[]>;
  /** Statements for partitioned tables. They adopt the indexes of the partitions. */
  readonly parentIndexes: readonly string[];
}

const partBytes = 64 * 2 ** 20;
const statementsPerMessage = 100;

/**
 * The limit of a copy: the servers' own work, without a client that relays rows. The source copies all rows to nowhere. At
 * the same time, the target creates the tables, copies the same rows from files, and builds the indexes. Each step uses as
 * many sessions as the contenders have.
 */
export class CopyLimit {
  readonly #course: Course;
  readonly #directory: string;
  readonly #work: Work;

  private constructor(course: Course, directory: string, work: Work) {
    this.#course = course;
    this.#directory = directory;
    this.#work = work;
  }

  /** Writes the rows to files, which is not part of the limit. */
  static async prepare(course: Course): Promise<CopyLimit> {
    const directory = filesOfServers();
    try {
      const work = await readWork(course, directory);
      const write = ({ query, file }: Part): Task => copyTo(query, file);
      await inParallel(course.source, course.database, course.jobs, oneByOne(work.parts.map(write)));
      return new CopyLimit(course, directory, work);
    } catch (error) {
      removeFilesOfServers(directory);
      throw error;
    }
  }

  async run(): Promise<void> {
    const { source, database, jobs } = this.#course;
    const read = oneByOne(this.#work.parts.map(({ query }) => copyTo(query, "/dev/null")));
    await Promise.all([inParallel(source, database, jobs, read), this.#fill()]);
  }

  remove(): void {
    removeFilesOfServers(this.#directory);
  }

  async #fill(): Promise<void> {
    const { target, database, jobs } = this.#course;
    const { tables, laterStatements, parts, indexes, parentIndexes } = this.#work;
    await target.query(`CREATE DATABASE ${database}`);
    await inParallel(target, database, jobs, oneByOne(messages(tables)));
    await inParallel(target, database, 1, oneByOne(messages(laterStatements)));
    const queue = new IndexQueue(parts, indexes);
    const load = ({ table, file }: Part): Task => {
      return async (session) => {
        await session.query(`COPY ${table} FROM '${file}' (FORMAT binary)`);
        queue.loaded(table);
      };
    };
    await Promise.all([
      inParallel(target, database, jobs, oneByOne(parts.map(load))),
      inParallel(target, database, jobs, () => queue.next()),
    ]);
    await inParallel(target, database, jobs, oneByOne(parentIndexes.map(statement)));
  }
}

/** Gives out the index builds of each table as soon as its rows are loaded. */
class IndexQueue {
  readonly #partsLeft = new Map<string, number>();
  readonly #indexes: ReadonlyMap<string, readonly string[]>;
  readonly #ready: string[] = [];
  readonly #waiting: (() => void)[] = [];

  constructor(parts: readonly Part[], indexes: ReadonlyMap<string, readonly string[]>) {
    this.#indexes = indexes;
    for (const { table } of parts) this.#partsLeft.set(table, (this.#partsLeft.get(table) ?? 0) + 1);
  }

  loaded(table: string): void {
    const left = this.#partsLeft.get(table)! - 1;
    if (left > 0) {
      this.#partsLeft.set(table, left);
      return;
    }
    this.#partsLeft.delete(table);
    this.#ready.push(...(this.#indexes.get(table) ?? []));
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async next(): Promise<Task | undefined> {
    while (this.#ready.length === 0 && this.#partsLeft.size > 0)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const next = this.#ready.shift();
    return next === undefined ? undefined : statement(next);
  }
}

const statement =
  (sql: string): Task =>
  async (session) => {
    await session.query(sql);
  };

const copyTo = (query: string, file: string): Task => statement(`COPY (${query}) TO '${file}' (FORMAT binary)`);

/** Several statements in one message: a message per statement would measure round trips. */
function messages(statements: readonly string[]): Task[] {
  const tasks: Task[] = [];
  for (let at = 0; at < statements.length; at += statementsPerMessage)
    tasks.push(statement(statements.slice(at, at + statementsPerMessage).join(";\n")));
  return tasks;
}

async function readWork(course: Course, directory: string): Promise<Work> {
  const definitions = await tableDefinitions(course);
  const isTable = (sql: string): boolean => sql.startsWith("CREATE TABLE");
  const indexes = new Map<string, string[]>();
  const parentIndexes: string[] = [];
  for (const { table, partitioned, sql } of await indexDefinitions(course))
    if (partitioned) parentIndexes.push(sql);
    else indexes.set(table, [...(indexes.get(table) ?? []), sql]);
  return {
    tables: definitions.filter(isTable),
    laterStatements: definitions.filter((sql) => !isTable(sql)),
    parts: await divideTables(course, directory),
    indexes,
    parentIndexes,
  };
}

/** The statements that create tables, and those that attach partitions. */
async function tableDefinitions({ source, database }: Course): Promise<string[]> {
  const args = ["--schema-only", "--section=pre-data", "--no-owner", "--no-privileges", database];
  const { stdout } = await run("pg_dump", args, { env: environment(source.login), maxBuffer: 1 << 30 });
  return stdout
    .replace(/^(--|\\).*$/gm, "")
    .split(";\n")
    .map((sql) => sql.trim())
    .filter((sql) => /^(CREATE|ALTER) /.test(sql));
}

interface IndexDefinition {
  readonly table: string;
  readonly partitioned: boolean;
  readonly sql: string;
}

function indexDefinitions({ source, database }: Course): Promise<IndexDefinition[]> {
  return source.query<IndexDefinition & QueryResultRow>(
    `SELECT indrelid::regclass::text AS table, table_.relkind = 'p' AS partitioned,
            CASE WHEN conname IS NULL THEN pg_get_indexdef(indexrelid)
                 ELSE format('ALTER TABLE %s ADD CONSTRAINT %I %s', indrelid::regclass, conname, pg_get_constraintdef(con.oid))
            END AS sql
       FROM pg_index JOIN pg_class table_ ON table_.oid = indrelid
       LEFT JOIN pg_constraint con ON con.conindid = indexrelid AND con.conrelid = indrelid AND con.contype IN ('p', 'u')
      WHERE table_.relnamespace = 'public'::regnamespace AND table_.relkind IN ('r', 'p')`,
    { database },
  );
}

/** The largest tables first, so that no session works long after the others. */
async function divideTables({ source, database }: Course, directory: string): Promise<Part[]> {
  const tables = await source.query<{ name: string; bytes: string; pages: number }>(
    `SELECT oid::regclass::text AS name, pg_table_size(oid) AS bytes,
            (pg_relation_size(oid) / current_setting('block_size')::int)::int AS pages
       FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC, oid`,
    { database },
  );
  return tables.flatMap(({ name, bytes, pages }, table) => {
    const parts = Math.max(1, Math.ceil(Number(bytes) / partBytes));
    return Array.from({ length: parts }, (_, part) => ({
      table: name,
      query: `SELECT * FROM ${name}${pagesOf(pages, part, parts)}`,
      file: join(directory, `${table}-${part}`),
    }));
  });
}

/** A condition for the rows of one part. The last part has no end, because the table may have grown. */
export function pagesOf(pages: number, part: number, parts: number): string {
  if (parts === 1) return "";
  const firstPage = (at: number): number => Math.floor((pages * at) / parts);
  const from = ` WHERE ctid >= '(${firstPage(part)},0)'`;
  return part + 1 === parts ? from : `${from} AND ctid < '(${firstPage(part + 1)},0)'`;
}
