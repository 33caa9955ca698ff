import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { sqlStateOf } from "../../provider/src/postgres/sql-state";
import type { Login } from "./servers/embedded-server";

/** Sessions that insert into `t (v)`. Like applications, each reconnects and retries after its session ended. */
export class InsistentWriters {
  /** Rows that the server has confirmed. */
  acknowledged = 0;
  /** Errors that ended the writing: SQLSTATEs, or `lost`. */
  readonly ends = new Set<string>();
  readonly #done: Promise<unknown>;
  #isOver = false;

  /** Starts one session for each login. */
  constructor(database: string, logins: readonly Login[]) {
    this.#done = Promise.all(logins.map((login) => this.#insist({ ...login, database })));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#done;
  }

  async #insist(config: pg.ClientConfig): Promise<void> {
    while (!this.#isOver) {
      const client = new pg.Client(config);
      client.on("error", () => undefined);
      try {
        await client.connect();
        await this.#write(client);
      } catch (error) {
        this.ends.add(sqlStateOf(error) || "lost");
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  }

  async #write(client: pg.Client): Promise<void> {
    while (!this.#isOver) {
      await client.query("INSERT INTO t (v) VALUES (current_user)");
      this.acknowledged++;
      await sleep(5);
    }
  }
}
