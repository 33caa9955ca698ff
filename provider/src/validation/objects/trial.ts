import pg from "pg";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
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
    this.#isAllTrusted ??= await isAllTrusted(this.#source);
    return this.#isAllTrusted ? this.run(sql) : { ended: "untrusted" };
  }

  /** A query that calls nothing but PostgreSQL's own: no name in it may lead to anything else. */
  runPlain(sql: string): Promise<Trial> {
    return this.run(sql, "");
  }

  /**
   * @param searchPath the one with which the application's sessions begin, unless told
   * @throws whatever a connection is lost by
   */
  async run(sql: string, searchPath?: string): Promise<Trial> {
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

async function isAllTrusted(source: pg.Client): Promise<boolean> {
  const { rows } = await source.query<{ trusted: boolean }>(
    `SELECT NOT EXISTS (SELECT FROM pg_shdepend s JOIN pg_roles r ON s.refclassid = 'pg_authid'::regclass AND r.oid = s.refobjid
                         WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                           AND s.deptype = 'o' AND NOT r.rolsuper AND r.rolname <> current_user) AS trusted`,
  );
  return rows[0]!.trusted;
}
