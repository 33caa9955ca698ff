import type { Client } from "pg";
import { UnreachableError } from "../../errors.js";
import { BacklogIncomplete } from "../model/signals.js";
import type { BacklogLimits } from "./backlog-limits.js";

const watchEveryMs = 1000;

export interface BacklogWatchOptions {
  /** Another session on the source, which watches the reading one. */
  readonly source: Client;
  /** The backend of the reading session. */
  readonly processId: number;
  readonly limits: Pick<BacklogLimits, "longestPauseMs" | "longestSilenceMs">;
  readonly silenceLimitMs: number;
  /** BacklogIncomplete if the backlog should no longer be read in portions; UnreachableError if the connection is dead. */
  readonly onFailed: (error: Error) => void;
}

/**
 * Detects a dead connection of the session that reads a backlog. Decoding a portion may take long, so the state of the
 * session is read through another session.
 */
export class BacklogWatch {
  readonly #options: BacklogWatchOptions;
  readonly #timer: NodeJS.Timeout;
  #isQuerying = false;
  #heardAt = Date.now();
  #seenActiveAt = 0;
  #pausedAt: number | undefined;
  /** Checks in a row that found the session waiting for its client. */
  #idleChecks = 0;
  #isChecking = false;

  constructor(options: BacklogWatchOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#onTimer(), watchEveryMs);
  }

  /** Whether a query is under way. */
  get isQuerying(): boolean {
    return this.#isQuerying;
  }

  /** Call it when data arrives. */
  heard(): void {
    this.#heardAt = Date.now();
  }

  /** Expects data until the promise is settled. */
  async during<Result>(query: () => Promise<Result>): Promise<Result> {
    this.#isQuerying = true;
    this.heard();
    try {
      return await query();
    } finally {
      this.#isQuerying = false;
    }
  }

  /** Call it when reading pauses: no data is expected. */
  pause(): void {
    this.#pausedAt = Date.now();
  }

  resume(): void {
    this.#pausedAt = undefined;
    this.heard();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #onTimer(): void {
    const { limits, silenceLimitMs, onFailed } = this.#options;
    const now = Date.now();
    if (this.#pausedAt !== undefined) {
      if (now - this.#pausedAt > limits.longestPauseMs)
        onFailed(new BacklogIncomplete("the backlog is not read in portions while the target is slow"));
      return;
    }
    if (this.#isQuerying && now - this.#heardAt > limits.longestSilenceMs) {
      onFailed(new BacklogIncomplete("the source takes too long to decode a portion of its backlog"));
      return;
    }
    const aliveAt = Math.max(this.#heardAt, this.#seenActiveAt);
    if (!this.#isQuerying || this.#isChecking || now - aliveAt < silenceLimitMs) {
      this.#idleChecks = 0;
      return;
    }
    this.#check();
  }

  #check(): void {
    this.#isChecking = true;
    const heardAt = this.#heardAt;
    this.#isActive().then(
      (isActive) => {
        this.#isChecking = false;
        if (isActive) this.#seenActiveAt = Date.now();
        // Twice, so that data that was under way at the first check has time to arrive.
        else if (heardAt === this.#heardAt && ++this.#idleChecks > 1)
          this.#options.onFailed(new UnreachableError("the connection on which the source's backlog is read is dead"));
      },
      () => (this.#isChecking = false),
    );
  }

  /** Does not use the column `state`, which is empty with track_activities = off. An idle session waits for its client, too. */
  async #isActive(): Promise<boolean> {
    const { source, processId } = this.#options;
    const { rowCount } = await source.query(
      "SELECT FROM pg_catalog.pg_stat_activity WHERE pid = $1 AND wait_event_type IS DISTINCT FROM 'Client'",
      [processId],
    );
    return rowCount === 1;
  }
}
