import pg from "pg";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { isAllTrusted, isUnsafeToPlan } from "../../postgres/planner-functions.js";
import { readSearchPath } from "../../schema/restore/restore-context.js";

/**
 * How a query ended: `unknown` where it took too long, might write, or is nothing that this role may run; `untrusted` where
 * it was not begun, since it would run what others have written.
 */
export type Trial =
  | { readonly ended: "rows"; readonly rows: readonly unknown[] }
  | { readonly ended: "refused"; readonly error: pg.DatabaseError }
  | { readonly ended: "unknown" | "untrusted" };

const eachMs = 5_000;
const allMs = 30_000;

/** Not allowed, read-only, cancelled or out of time, locked, out of resources, in the way of a standby's replay. */
const ofTheMoment = /^(42501|25006|57014|55P03|53|54|40)/;

/**
 * Queries over users' rows, tried on the source in transactions that may not write. Each has a few seconds, all of a
 * database half a minute: what they would tell is worth no more of a busy server.
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
   * A query that calls what users have written. It would run with all the rights of the role that migrates, so that it
   * is tried only in a database in which everything is that role's own, or superusers'.
   */
  async runUsersCode(sql: string): Promise<Trial> {
    this.#isAllTrusted ??= await readTrust(this.#source);
    return this.#isAllTrusted ? this.#run(sql) : { ended: "untrusted" };
  }

  /** A query that calls only PostgreSQL's own functions, over tables whose planning calls nothing else either. */
  runPlain(sql: string): Promise<Trial> {
    return this.#run(sql, "");
  }

  /**
   * A query over one table, under the application's search_path. Every function and operator in it has to be named such
   * that only PostgreSQL's own matches exactly.
   */
  async runOn(table: { readonly schema: string; readonly name: string }, sql: string): Promise<Trial> {
    return (await isUnsafeToPlan(this.#source, table)) ? { ended: "untrusted" } : this.#run(sql);
  }

  /**
   * @param searchPath the one with which the application's sessions begin, unless told
   * @throws whatever a connection is lost by
   */
  async #run(sql: string, searchPath?: string): Promise<Trial> {
    const leftMs = Math.min(eachMs, this.#over - Date.now());
    if (leftMs <= 0) return { ended: "unknown" };
    const source = this.#source;
    const path = searchPath ?? (this.#searchPath ??= await readSearchPath(source));
    await source.query("BEGIN READ ONLY");
    try {
      // As the application's sessions find their own; the catalogue first, since nothing of theirs may take its place here.
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
