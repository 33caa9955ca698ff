import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { Seeded, seed } from "../support/seeded";

export const randomTables = `
  CREATE TABLE account (id int PRIMARY KEY, owner text, balance numeric DEFAULT 0, note text);
  ALTER TABLE account ALTER note SET STORAGE EXTERNAL;
  CREATE TABLE entry (id bigserial PRIMARY KEY, account int, amount numeric, at timestamptz DEFAULT clock_timestamp());
  CREATE TABLE bag (v int, w text); ALTER TABLE bag REPLICA IDENTITY FULL;
  CREATE TABLE pairs (a int, b int UNIQUE DEFERRABLE, PRIMARY KEY (a));
  INSERT INTO account SELECT i, 'owner ' || i, 0, repeat(md5(i::text), 100) FROM generate_series(1, 200) i;
  INSERT INTO bag SELECT i % 5, NULL FROM generate_series(1, 40) i;
  INSERT INTO pairs SELECT i, i FROM generate_series(1, 50) i`;

const random = new Seeded(seed);
const pick = (below: number): number => random.below(below);

function randomStatement(): string {
  const id = 1 + pick(200);
  const statements = [
    `UPDATE account SET balance = balance + ${pick(100)} WHERE id = ${id}`,
    `INSERT INTO entry (account, amount) VALUES (${id}, ${pick(1000)})`,
    `UPDATE account SET note = repeat(md5('${pick(1e6)}'), 90) WHERE id = ${id}`,
    `DELETE FROM account WHERE id = ${id}`,
    `INSERT INTO account VALUES (${id}, 'new', 1, repeat(md5('${id}'), 80)) ON CONFLICT DO NOTHING`,
    `UPDATE account SET id = id + 1000 WHERE id = ${id} AND NOT EXISTS (SELECT FROM account WHERE id = ${id + 1000})`,
    `UPDATE account SET id = id - 1000 WHERE id = ${id + 1000} AND NOT EXISTS (SELECT FROM account WHERE id = ${id})`,
    `DELETE FROM entry WHERE id % 7 = 0 AND id > (SELECT max(id) - 50 FROM entry)`,
    `UPDATE bag SET v = v + 1, w = NULL WHERE ctid = (SELECT ctid FROM bag ORDER BY random() LIMIT 1)`,
    `INSERT INTO bag SELECT v, w FROM bag LIMIT 1`,
    `DELETE FROM bag WHERE ctid = (SELECT ctid FROM bag ORDER BY random() LIMIT 1)`,
    `UPDATE pairs SET b = CASE a WHEN 1 THEN (SELECT b FROM pairs WHERE a = 2) ELSE (SELECT b FROM pairs WHERE a = 1) END WHERE a IN (1, 2)`,
  ];
  return statements[pick(statements.length)]!;
}

/** Writes random transactions in several sessions until `stop`. */
export class RandomChanges {
  #running = true;
  readonly #done: Promise<unknown>;
  transactions = 0;

  constructor(sessions: readonly pg.Client[], pauseMs = 5) {
    this.#done = Promise.all(sessions.map((session) => this.#write(session, pauseMs)));
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
  }

  async #write(session: pg.Client, pauseMs: number): Promise<void> {
    while (this.#running) {
      const statements = Array.from({ length: 1 + pick(5) }, randomStatement);
      // Some transactions have rolled back and committed parts.
      if (pick(4) === 0) statements.push("SAVEPOINT s", randomStatement(), "ROLLBACK TO s", randomStatement());
      try {
        await session.query(["BEGIN", ...statements, "COMMIT"].join("; "));
        this.transactions++;
      } catch (error) {
        // Deadlocks and duplicate keys are expected, as with concurrent applications.
        if (!/^(40|23)/.test((error as { code?: string }).code ?? "")) throw error;
        await session.query("ROLLBACK");
      }
      await sleep(pauseMs);
    }
    await session.end();
  }
}
