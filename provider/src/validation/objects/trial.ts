import pg from "pg";
import { ConcurrentChangeError } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import type { RelationName } from "../../postgres/identifiers.js";
import { lockRelations } from "../../postgres/locks/lock-relations.js";
import { isEverythingTrusted, isUnsafeToPlan, refuseViews } from "../../postgres/planner-functions.js";
import { searchPathFor } from "../../postgres/search-path.js";
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
  #isAllTrusted = true;

  constructor(source: pg.Client) {
    this.#source = source;
  }

  /**
   * Runs a query that calls users' code. It would run with all privileges of the migrating role. Therefore it is tried
   * only in a database in which that role or superusers own everything.
   *
   * @param relations those that it reads
   */
  async runUsersCode(relations: readonly RelationName[], sql: string): Promise<Trial> {
    if (!this.#isAllTrusted) return { ended: "untrusted" };
    return this.#run(sql, async () => {
      await lockRelations(this.#source, relations);
      return (this.#isAllTrusted = await isEverythingTrusted(this.#source));
    });
  }

  /**
   * Runs a query that calls only PostgreSQL's own functions, over tables whose planning calls no others.
   *
   * @param relations those that it reads
   * @param isPlain checks this when they are locked
   */
  runPlain(relations: readonly RelationName[], sql: string, isPlain: () => Promise<boolean>): Promise<Trial> {
    const isSafe = async (): Promise<boolean> => {
      await lockRelations(this.#source, relations);
      return isPlain();
    };
    return this.#run(sql, isSafe, "");
  }

  /**
   * Runs a query over one table with the application's search_path. Every function and operator in it has to be written
   * so that only PostgreSQL's own matches exactly.
   */
  runOn(table: RelationName, sql: string): Promise<Trial> {
    return this.#run(sql, async () => {
      await lockRelations(this.#source, [table], "table");
      if (await isUnsafeToPlan(this.#source, table)) return false;
      await refuseViews(this.#source, "transaction");
      return true;
    });
  }

  /**
   * @param isSafe locks what the query reads, and checks that it runs no code of other roles. Its transaction is the query's
   * @param searchPath by default the initial one of the application's sessions
   * @throws the errors of a lost connection
   */
  async #run(sql: string, isSafe: () => Promise<boolean>, searchPath?: string): Promise<Trial> {
    const leftMs = Math.min(eachMs, this.#over - Date.now());
    if (leftMs <= 0) return { ended: "unknown" };
    const source = this.#source;
    const path = searchPath ?? (this.#searchPath ??= await readSearchPath(source));
    await source.query("BEGIN READ ONLY");
    try {
      await source.query("SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', '1000', true)", [
        String(leftMs),
      ]);
      if (!(await isSafe())) return { ended: "untrusted" };
      await source.query("SELECT set_config('search_path', $1, true)", [searchPathFor(path)]);
      const { rows } = await source.query(sql);
      return { ended: "rows", rows };
    } catch (error) {
      if (error instanceof ConcurrentChangeError) return { ended: "untrusted" };
      if (!(error instanceof pg.DatabaseError) || isConnectionLoss(error)) throw error;
      return ofTheMoment.test(error.code ?? "") ? { ended: "unknown" } : { ended: "refused", error };
    } finally {
      await source.query("ROLLBACK");
    }
  }
}
