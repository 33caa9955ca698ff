import type { Client } from "pg";
import { UnreachableError, asError } from "../../errors.js";
import type { Lsn } from "../../postgres/lsn.js";
import { emitHeartbeatMessage } from "./heartbeat-message.js";
import type { SourceClock } from "./lag.js";

const tickMs = 200;
const ticksPerQuery = 5;

export interface SourceMonitorOptions {
  readonly source: Client;
  readonly clock: SourceClock;
  readonly silenceLimitMs: number;
  /** The LSN that a caller waits for; undefined if no caller waits. */
  readonly awaitedLsn: () => Lsn | undefined;
  /** Called at every tick while a caller waits for an LSN. */
  readonly onAwaited: () => void;
  /** Called at every tick. */
  readonly onTick: () => void;
  /** A query failed, or the source does not answer. */
  readonly onFailed: (error: Error) => void;
}

/** Reads the source's clock regularly, writes a heartbeat for an awaited LSN, and detects a source that does not answer. */
export class SourceMonitor {
  readonly #options: SourceMonitorOptions;
  readonly #timer: NodeJS.Timeout;
  #ticks = 0;
  /** The awaited LSN for which a heartbeat was written. */
  #heartbeatFor: Lsn | undefined;
  /** The start of the first query without an answer. */
  #pendingSince: number | undefined;

  constructor(options: SourceMonitorOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#onTick(), tickMs);
  }

  /** Watches a query. The session answers queries in order. */
  watch(query: Promise<unknown>): void {
    this.#pendingSince ??= Date.now();
    query.then(
      () => (this.#pendingSince = undefined),
      (error: unknown) => this.#options.onFailed(asError(error)),
    );
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #onTick(): void {
    const { source, clock, silenceLimitMs, awaitedLsn, onAwaited, onTick, onFailed } = this.#options;
    const awaited = awaitedLsn();
    if (awaited !== undefined) {
      onAwaited();
      if (this.#heartbeatFor !== awaited) this.watch(emitHeartbeatMessage(source));
      this.#heartbeatFor = awaited;
    }
    if (this.#ticks++ % ticksPerQuery === 0 && this.#pendingSince === undefined) this.watch(clock.ask());
    const silentMs = Date.now() - (this.#pendingSince ?? Date.now());
    if (silentMs > silenceLimitMs)
      onFailed(new UnreachableError(`the source has not answered for ${Math.round(silentMs / 1000)} s`));
    onTick();
  }
}
