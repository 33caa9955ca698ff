import pg from "pg";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { isAllTrusted, isUnsafeToPlan } from "../../postgres/planner-functions.js";
import { readSearchPath } from "../../schema/restore/restore-context.js";

/**
 * The result of a query. `unknown`: it took too long, might write, or this role may not run it. `untrusted`: it was not
 * started, because it would run code of other roles.
 */
export type Trial =
  | { readonly ended: "rows"; readonly rows: readonly unknown[] }
  | { readonly ended: "refused"; readonly error: pg.DatabaseError }
  | { readonly ended: "unknown" | "untrusted" };

const eachMs = 5_000;
const allMs = 30_000;

/** Insufficient privilege, read-only transaction, canceled, locked, insufficient resources, recovery conflict. */
const ofTheMoment = /^(42501|25006|57014|55P03|53|54|40)/;

/**
 * Queries over users' rows, tried on the source in read-only transactions. Each has a limit of a few seconds, and all
 * of a database half a minute, in order not to load a busy server.
 */
export class Trials {
  readonly #source: pg.Client;
  readonly #over = Date.now() + allMs;
  #searchPath: string | undefined;
  #isAllTrusted: boolean | undefined;

  constructor(source: pg.Client) {
    this.#source = source;
  }

  /**
   * Runs a query that calls users' code. It would run with all privileges of the migrating role. Therefore it is tried
   * only in a database in which that role or superusers own everything.
   */
  async runUsersCode(sql: string): Promise<Trial> {
    this.#isAllTrusted ??= await readTrust(this.#source);
    return this.#isAllTrusted ? this.#run(sql) : { ended: "untrusted" };
  }

  /** Runs a query that calls only PostgreSQL's own functions, over tables whose planning calls no others. */
  runPlain(sql: string): Promise<Trial> {
    return this.#run(sql, "");
  }

  /**
   * Runs a query over one table with the application's search_path. Every function and operator in it has to be written
   * so that only PostgreSQL's own matches exactly.
   */
  async runOn(table: { readonly schema: string; readonly name: string }, sql: string): Promise<Trial> {
    return (await isUnsafeToPlan(this.#source, table)) ? { ended: "untrusted" } : this.#run(sql);
  }

  /**
   * @param searchPath by default the initial one of the application's sessions
   * @throws the errors of a lost connection
   */
  async #run(sql: string, searchPath?: string): Promise<Trial> {
    const leftMs = Math.min(eachMs, this.#over - Date.now());
    if (leftMs <= 0) return { ended: "unknown" };
    const source = this.#source;
    const path = searchPath ?? (this.#searchPath ??= await readSearchPath(source));
    await source.query("BEGIN READ ONLY");
    try {
      // The application's search_path, with the catalogue first, so that no user's object replaces a built-in one.
      await source.query(
        `SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', '1000', true),
                set_config('search_path', $2, true)`,
        [String(leftMs), path === "" ? "" : `pg_catalog, ${path}`],
      );
      const { rows } = await source.query(sql);
      return { ended: "rows", rows };
    } catch (error) {
      if (!(error instanceof pg.DatabaseError) || isConnectionLoss(error)) throw error;
      return ofTheMoment.test(error.code ?? "") ? { ended: "unknown" } : { ended: "refused", error };
    } finally {
      await source.query("ROLLBACK");
    }
  }
}

async function readTrust(source: pg.Client): Promise<boolean> {
  const { rows } = await source.query<{ trusted: boolean }>(`SELECT ${isAllTrusted} AS trusted`);
  return rows[0]!.trusted;
}
