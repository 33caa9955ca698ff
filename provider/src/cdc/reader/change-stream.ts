import type { Lsn } from "../../postgres/lsn.js";

export interface ChangeStreamHandlers {
  /** One message of the output plugin: a range of bytes that belong to the subscriber. `position` is its LSN. */
  readonly onData: (bytes: Buffer, start: number, end: number, position: () => Lsn) => void;
  /** Everything that was committed before `end` has been sent. */
  readonly onKeepalive: (end: Lsn) => void;
  /** The stream is over; called once, unless `close` came first. */
  readonly onLost: (error: Error) => void;
  /** Whether there is enough to do without what the socket may have. */
  readonly isBusy: () => boolean;
  /** Silence beyond it, where an answer is due, is a dead connection. */
  readonly silenceLimitMs: number;
}

/** The changes of a slot, by whatever way they come from the source. */
export interface ChangeStream {
  /** Lets the source forget what committed before `lsn`: only ever what is durable on the target. */
  confirm(lsn: Lsn): void;
  readonly confirmed: Lsn;
  /** Asks how far the source has read its WAL. */
  ping(): void;
  /** Stops reading the socket. */
  pause(): void;
  resume(): void;
  /** Ends its session. */
  close(): Promise<void>;
}
