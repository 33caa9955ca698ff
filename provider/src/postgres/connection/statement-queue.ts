import { setTimeout as sleep } from "node:timers/promises";
import { isConnectionLoss } from "./connection-loss.js";

/** The session that runs the statements of a {@link StatementQueue}. */
export interface QueuedSession {
  readonly query: (sql: string, values: readonly unknown[]) => Promise<object[]>;
  /** Closes and replaces a lost session. @throws an error of a lost connection to try again, any other error to give up */
  readonly reopen: () => Promise<void>;
  /** How long no statement may succeed after a loss. */
  readonly reopenForSeconds: () => number;
  /** The error for all statements after that time. */
  readonly unreachable: (cause: unknown) => Error;
}

interface Statement {
  readonly sql: string;
  readonly values: readonly unknown[];
  readonly onRows: (rows: object[]) => void;
  readonly onFailed: (error: unknown) => void;
}

const firstPauseMs = 100;
const maxPauseMs = 5000;

/**
 * Sends statements without awaiting the answers to those before. The server runs them in the order of the calls. After a
 * lost connection, all statements without an answer are repeated in the same order, so that one may run twice.
 */
export class StatementQueue {
  readonly #session: QueuedSession;
  /** In the order of the calls. */
  readonly #unanswered = new Set<Statement>();
  readonly #inFlight = new Set<Promise<void>>();
  #isLost = false;
  /** Since the last answer. */
  #lostSince: number | undefined;
  #attempts = 0;
  #isClosed = false;
  #onAnswered: () => void = () => undefined;

  constructor(session: QueuedSession) {
    this.#session = session;
  }

  run<Row extends object>(sql: string, values: readonly unknown[]): Promise<Row[]> {
    return new Promise((resolve, reject) => {
      const statement: Statement = { sql, values, onRows: (rows) => resolve(rows as Row[]), onFailed: reject };
      this.#unanswered.add(statement);
      if (!this.#isLost) this.#send(statement);
    });
  }

  /** Resolves when all statements have ended. A statement that fails afterwards is not repeated. */
  async close(): Promise<void> {
    while (this.#unanswered.size > 0) await new Promise<void>((resolve) => (this.#onAnswered = resolve));
    this.#isClosed = true;
  }

  #send(statement: Statement): void {
    const sent = this.#answer(statement).finally(() => this.#inFlight.delete(sent));
    this.#inFlight.add(sent);
  }

  async #answer(statement: Statement): Promise<void> {
    try {
      const rows = await this.#session.query(statement.sql, statement.values);
      this.#lostSince = undefined;
      this.#attempts = 0;
      this.#end(statement, () => statement.onRows(rows));
    } catch (error) {
      if (isConnectionLoss(error) && !this.#isClosed) this.#onLost(error);
      else this.#end(statement, () => statement.onFailed(error));
    }
  }

  #end(statement: Statement, report: () => void): void {
    this.#unanswered.delete(statement);
    report();
    if (this.#unanswered.size === 0) this.#onAnswered();
  }

  #onLost(error: unknown): void {
    if (this.#isLost) return;
    this.#isLost = true;
    void this.#recover(error).catch((failure: unknown) => {
      this.#isLost = false;
      // Each later statement tries once more.
      this.#attempts = 0;
      for (const statement of this.#unanswered) this.#end(statement, () => statement.onFailed(failure));
    });
  }

  async #recover(loss: unknown): Promise<void> {
    this.#lostSince ??= Date.now();
    for (let error = loss; ;) {
      if (this.#attempts > 0 && Date.now() > this.#lostSince + this.#session.reopenForSeconds() * 1000)
        throw this.#session.unreachable(error);
      await sleep(Math.min(firstPauseMs * 2 ** this.#attempts++, maxPauseMs));
      try {
        await this.#session.reopen();
        break;
      } catch (failure) {
        if (!isConnectionLoss(failure)) throw failure;
        error = failure;
      }
    }
    // A late answer of the lost session must not look like a loss of the next one.
    await Promise.all(this.#inFlight);
    this.#isLost = false;
    for (const statement of this.#unanswered) this.#send(statement);
  }
}
