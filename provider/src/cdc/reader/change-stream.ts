import type { Lsn } from "../../postgres/lsn.js";

export interface ChangeStreamHandlers {
  /** One message of the output plugin. The handler owns the range of bytes. `position` returns the message's LSN. */
  readonly onData: (bytes: Buffer, start: number, end: number, position: () => Lsn) => void;
  /** Everything that committed before `end` has been sent. */
  readonly onKeepalive: (end: Lsn) => void;
  /** The stream failed. Called at most once, and not after `close`. */
  readonly onLost: (error: Error) => void;
  /** Whether the applier has enough work, so that reading may pause. */
  readonly isBusy: () => boolean;
  /** A connection that stays silent for longer, although an answer is due, is considered dead. */
  readonly silenceLimitMs: number;
}

/** The changes of a slot, read through a walsender or with SQL. */
export interface ChangeStream {
  /** Allows the source to forget everything that committed before `lsn`. It must be durable on the target. */
  confirm(lsn: Lsn): void;
  readonly confirmed: Lsn;
  /** Requests a keepalive, which reports how far the source has read its WAL. */
  ping(): void;
  /** Stops reading the socket. */
  pause(): void;
  resume(): void;
  /** Ends the session. */
  close(): Promise<void>;
}
