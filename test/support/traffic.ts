import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import type { EmbeddedServer, Login } from "./servers/embedded-server";
import { until } from "./until";

/**
 * Sessions that move money between accounts and keep a ledger, each movement in one transaction. At every LSN, the
 * balances add up to zero, and the ledger has an entry without gaps for each movement of each session.
 */
export class Traffic {
  static readonly schema = `
    CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL, note text);
    INSERT INTO account SELECT i, 0, repeat('x', 100) FROM generate_series(1, 50) i;
    CREATE TABLE ledger (session int, number int, amount bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
                         PRIMARY KEY (session, number));
    CREATE TABLE scratch (id int PRIMARY KEY, v text);`;

  #transactions = 0;
  #stopping = false;
  readonly #sessions: Promise<void>[];

  private constructor(
    server: EmbeddedServer,
    database: string,
    sessions: number,
    readonly pauseMs: number,
  ) {
    this.#sessions = Array.from({ length: sessions }, (_, session) => this.#run(server, database, session));
  }

  /** @param pauseMs pause of a session after a transaction, which leaves CPU for the tested code */
  static start(server: EmbeddedServer, database: string, sessions: number, pauseMs = 5): Traffic {
    return new Traffic(server, database, sessions, pauseMs);
  }

  /** Waits for `count` further transactions. */
  async forTransactions(count: number): Promise<void> {
    const goal = this.#transactions + count;
    await until(`${count} more transactions are committed`, () => this.#transactions >= goal);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#sessions);
  }

  /** Fails unless the database shows only whole transactions. */
  static async assertWhole(server: EmbeddedServer, database: string, login: Partial<Login>): Promise<void> {
    const [row] = await server.query<{ balance: string; ledger: string; gaps: string }>(
      `SELECT (SELECT sum(balance) FROM account) AS balance, (SELECT sum(amount) FROM ledger) AS ledger,
              (SELECT count(*) FROM (SELECT max(number) - count(*) AS missing FROM ledger GROUP BY session) s
                WHERE missing <> 0) AS gaps`,
      { database, login },
    );
    assert.deepEqual(row, { balance: "0", ledger: "0", gaps: "0" });
  }

  async #run(server: EmbeddedServer, database: string, session: number): Promise<void> {
    const client = await server.connect(database);
    try {
      let number = 1;
      for (let attempt = 1; !this.#stopping; attempt++) {
        const isCommitted = attempt % 7 !== 0;
        await client.query("BEGIN");
        await move(client, session, number);
        await client.query(isCommitted ? "COMMIT" : "ROLLBACK");
        if (isCommitted) number++;
        this.#transactions++;
        if (this.pauseMs > 0) await sleep(this.pauseMs);
      }
    } finally {
      await client.end();
    }
  }
}

async function move(client: pg.Client, session: number, number: number): Promise<void> {
  // Ordered by id, to avoid deadlocks between sessions.
  const [one, other] = [1 + ((session * 7 + number) % 50), 1 + ((session * 13 + number * 3) % 50)].sort(
    (a, b) => a - b,
  );
  const scratch = session * 1000 + (number % 20);
  await run(client, "debit", "UPDATE account SET balance = balance - 1 WHERE id = $1", [one]);
  await run(client, "credit", "UPDATE account SET balance = balance + 1 WHERE id = $1", [other]);
  await run(client, "enter", "INSERT INTO ledger (session, number, amount) VALUES ($1, $2, 0)", [session, number]);
  await run(client, "scratch", "INSERT INTO scratch VALUES ($1, 'here') ON CONFLICT (id) DO UPDATE SET v = 'again'", [
    scratch,
  ]);
  if (number % 5 === 0) await client.query("DELETE FROM scratch WHERE id = $1", [session * 1000 + ((number * 3) % 20)]);
}

/** Prepared by name, because parsing and planning takes more CPU than the statement itself. */
async function run(client: pg.Client, name: string, text: string, values: unknown[]): Promise<void> {
  await client.query({ name, text, values });
}
