import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import type { EmbeddedServer } from "../../support/servers/embedded-server";
import { Seeded, seed } from "../../support/seeded";

const sessions = 4;

/** Sessions that insert into `t` with synchronous_commit = off, in transactions of one to three rows, until `stop`. */
export class AsynchronousWriters {
  readonly #stopped = new AbortController();
  readonly #writing: Promise<unknown>;
  readonly #random = new Seeded(seed);

  constructor(server: EmbeddedServer, database: string) {
    const write = async (): Promise<void> => this.#write(await server.connect(database));
    this.#writing = Promise.all(Array.from({ length: sessions }, write));
  }

  /** Any number of milliseconds below the limit. */
  pauseMs(limit: number): number {
    return this.#random.below(limit);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#writing;
  }

  async #write(session: Client): Promise<void> {
    await session.query("SET synchronous_commit = off");
    while (!this.#stopped.signal.aborted) {
      await session.query(`INSERT INTO t SELECT FROM generate_series(1, ${1 + this.#random.below(3)})`);
      await sleep(this.#random.below(4));
    }
    await session.end();
  }
}
