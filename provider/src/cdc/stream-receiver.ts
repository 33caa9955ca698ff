import { asError } from "../errors.js";
import type { Lsn } from "../postgres/lsn.js";
import type { ApplyBarrier } from "./apply-barrier.js";
import { maxInFlightBytes, resumeBelowBytes } from "./batch/batch-limits.js";
import type { TransactionBuffer } from "./batch/transaction-buffer.js";
import { pgOutputOptions } from "./decode/pgoutput.js";
import { withoutTables } from "./decode/skip-tables.js";
import { testDecodingOptions } from "./decode/test-decoding.js";
import type { FollowOptions } from "./follow-options.js";
import { silenceLimitMs } from "./follow-sessions.js";
import { type StreamMessage, type Transaction, commitsThrough } from "./model/change.js";
import { rolesOf } from "./model/stream-roles.js";
import { BacklogReader } from "./reader/backlog-reader.js";
import type { ChangeStream, ChangeStreamHandlers } from "./reader/change-stream.js";
import { WalSender, type WalSenderHandlers } from "./reader/walsender.js";
import { SlotHistory } from "./source/slot-history.js";
import { type StreamSlot, verifySlotPlace } from "./source/slot-identity.js";
import { type StreamBegin, limitsOf } from "./start-stream.js";

export interface StreamReceiverOptions {
  readonly begin: StreamBegin;
  readonly follow: FollowOptions;
  readonly buffer: TransactionBuffer;
  readonly barrier: ApplyBarrier;
  /** The position that is durable on the target. */
  readonly appliedThroughLsn: () => Lsn;
  /** Whether the applier has a batch. */
  readonly isApplying: () => boolean;
  /** Watches a query in the source's session. */
  readonly watchQuery: (query: Promise<unknown>) => void;
  /** Changes or a new position were received. */
  readonly onReceived: () => void;
  readonly onFailed: (error: Error) => void;
}

/**
 * Receives the changes of a slot into the buffer, and confirms applied positions to the source. It reads a large backlog with
 * SQL first, then through a walsender. It pauses reading while the buffer is full.
 */
export class StreamReceiver {
  readonly #options: StreamReceiverOptions;
  readonly #buffer: TransactionBuffer;
  readonly #slot: StreamSlot;
  readonly #wanted: (message: StreamMessage) => StreamMessage;
  readonly #startedAfter: Lsn;
  /** Undefined with test_decoding, whose history is verified before the stream starts. */
  readonly #history: SlotHistory | undefined;
  #stream: ChangeStream;
  /** Whether the current transaction is already applied. */
  #isSkipping = false;
  /** The transaction that is being received. */
  #transaction: Transaction | undefined;
  /** Whether the stream is known to begin at the target's position. Nothing is applied before. */
  #isSlotVerified = true;
  #receivedLsn: Lsn;
  /** Closes the stream that read the backlog. */
  #closing: Promise<void> | undefined;

  constructor(options: StreamReceiverOptions) {
    const { begin, follow, buffer } = options;
    this.#options = options;
    this.#buffer = buffer;
    this.#slot = { name: follow.slot, parts: rolesOf(follow) };
    this.#wanted = follow.skip ? withoutTables(follow.skip) : (message) => message;
    this.#startedAfter = this.#receivedLsn = begin.progress.appliedThroughLsn;
    this.#history = follow.plugin === "test_decoding" ? undefined : new SlotHistory(begin.progress, this.#slot);
    this.#stream = begin.backlog ? this.#readBacklog(begin) : this.#startWalSender(0n);
  }

  /** Every transaction that committed before this LSN has been received. */
  get receivedLsn(): Lsn {
    return this.#receivedLsn;
  }

  get confirmedLsn(): Lsn {
    return this.#stream.confirmed;
  }

  /** Whether received changes may be applied: the slot and the source's history are verified. */
  get isVerified(): boolean {
    return this.#isSlotVerified && this.#isHistoryVerified;
  }

  /** Confirms the applied position, unless the source's history is not verified yet. */
  confirm(): void {
    if (this.#isHistoryVerified) this.#stream.confirm(this.#options.appliedThroughLsn());
  }

  ping(): void {
    this.#stream.ping();
  }

  resume(): void {
    this.#stream.resume();
  }

  /** Reads again if the buffer has enough free space. */
  resumeIfBelowLimit(): void {
    if (this.#buffer.bytes <= resumeBelowBytes(this.#mayBeParallel)) this.#stream.resume();
  }

  async close(): Promise<void> {
    await Promise.all([this.#stream.close(), this.#closing]);
  }

  get #isHistoryVerified(): boolean {
    return this.#history?.isVerified ?? true;
  }

  get #mayBeParallel(): boolean {
    const { plugin, applySessions } = this.#options.follow;
    return plugin !== "test_decoding" && applySessions?.() !== 1;
  }

  get #pluginOptions(): Readonly<Record<string, string>> {
    const { begin, follow } = this.#options;
    return follow.plugin === "test_decoding" ? testDecodingOptions : pgOutputOptions(follow.publications, begin.form);
  }

  #readBacklog({ sessions, progress, backlog }: StreamBegin): ChangeStream {
    return new BacklogReader({
      session: backlog!,
      source: sessions.source,
      slot: this.#slot,
      from: progress.appliedThroughLsn,
      pluginOptions: this.#pluginOptions,
      limits: limitsOf(this.#options.follow),
      handlers: {
        ...this.#handlers(),
        // The first position is that of the copied slot, which no other session can advance.
        onKeepalive: (end) => {
          this.#history?.begin(end);
          this.#onKeepalive(end);
        },
        onRead: (end) => this.#continueWithWalSender(end),
      },
    });
  }

  #continueWithWalSender(readTo: Lsn): void {
    this.#closing = this.#stream.close();
    try {
      this.#stream = this.#startWalSender(readTo);
    } catch (error) {
      this.#options.onFailed(asError(error));
    }
  }

  /** @param readTo the end of the backlog that was read; 0 if none was read */
  #startWalSender(readTo: Lsn): ChangeStream {
    this.#isSlotVerified = false;
    const { begin, appliedThroughLsn } = this.#options;
    const common = {
      slot: this.#slot.name,
      pluginOptions: this.#pluginOptions,
      handlers: { ...this.#handlers(), ...this.#slotCheck() },
    };
    const start = begin.progress.appliedThroughLsn;
    const positions = this.#isHistoryVerified
      ? { from: readTo > start ? readTo : start, confirmed: appliedThroughLsn() }
      : { from: readTo, confirmed: 0n };
    return WalSender.start(begin.sessions.stream, { ...common, ...positions });
  }

  #handlers(): ChangeStreamHandlers {
    const { begin, follow, isApplying, onFailed } = this.#options;
    const { decoder } = begin;
    return {
      onData: (bytes, start, end, position) => {
        this.#receive(this.#wanted(decoder.decode(bytes, start, end, position)), end - start);
      },
      onKeepalive: (end) => this.#onKeepalive(end),
      onLost: onFailed,
      isBusy: isApplying,
      silenceLimitMs: silenceLimitMs(follow),
    };
  }

  /**
   * A slot that was recreated or advanced silently begins after the requested LSN. It is checked once the walsender uses it
   * exclusively, and if the server refuses the stream, because a changed slot may be the reason.
   */
  #slotCheck(): Pick<WalSenderHandlers, "onBegun" | "onLost"> {
    const { begin, appliedThroughLsn, watchQuery, onReceived, onFailed } = this.#options;
    let hasBegun = false;
    const check = (): Promise<Lsn | undefined> => verifySlotPlace(begin.sessions.source, this.#slot, appliedThroughLsn);
    const accept = async (): Promise<void> => {
      this.#history?.begin(await check());
      this.#isSlotVerified = true;
      this.confirm();
      onReceived();
    };
    const fail = async (error: Error): Promise<never> => {
      await check();
      throw error;
    };
    return {
      onBegun: () => {
        hasBegun = true;
        watchQuery(accept());
      },
      onLost: (error) => {
        if (hasBegun) onFailed(error);
        else watchQuery(fail(error));
      },
    };
  }

  #receive(message: StreamMessage, messageBytes: number): void {
    if (message.kind === "begin") {
      // The server skips by the same rule. This is for a server that starts earlier.
      const { commitLsn } = message.transaction;
      this.#isSkipping = commitLsn !== undefined && commitsThrough(commitLsn, this.#startedAfter);
      if (!this.#isSkipping) this.#endHistory();
    }
    if (this.#isSkipping) {
      this.#history?.add(message);
      return;
    }
    this.#buffer.receive(message, messageBytes, this.#isApplied(message));
    if (message.kind === "commit") this.#receivedLsn = message.endLsn;
    // With test_decoding, only the end of a transaction shows whether it committed before a closed barrier. Read up to it.
    const needsEnd = this.#options.barrier.bound !== undefined && this.#buffer.headHasUnknownLsn;
    if (this.#buffer.bytes > maxInFlightBytes(this.#mayBeParallel) && !needsEnd) this.#stream.pause();
    this.#options.onReceived();
  }

  #isApplied(message: StreamMessage): boolean {
    const { remaining } = this.#options.begin;
    const { kind } = message;
    if (kind === "begin") this.#transaction = message.transaction;
    if (!remaining || (kind !== "insert" && kind !== "update" && kind !== "delete")) return false;
    return !remaining.includes(message, this.#transaction!);
  }

  #onKeepalive(end: Lsn): void {
    // Within a transaction, the position is in the middle of that transaction, and proves nothing.
    if (this.#buffer.receiving) return;
    if (end >= this.#startedAfter) this.#endHistory();
    if (end <= this.#receivedLsn) return;
    this.#receivedLsn = end;
    this.#options.onReceived();
  }

  #endHistory(): void {
    if (this.#isHistoryVerified) return;
    this.#history?.end();
    this.confirm();
  }
}
