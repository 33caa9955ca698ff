import { setImmediate } from "node:timers";

export interface ReadAheadOptions {
  /** Held beyond what the receiver wants. */
  readonly limitBytes: number;
  readonly onMessage: (bytes: Buffer, start: number, end: number) => void;
  /** No more is to come, until {@link onRoom}. */
  readonly onFull: () => void;
  readonly onRoom: () => void;
  /** A message or a step failed; what is left is for nobody. */
  readonly onFailed: (error: unknown) => void;
}

interface Message {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

type Item = Message | (() => void);

/** What a message holds beside its bytes. */
const itemBytes = 64;
/** Handed on at a time: about what one read of a socket brings, so that what waits for a turn beside it has one. */
const turnBytes = 64 << 10;

/**
 * Messages that have come before their receiver wants them, as they came: a fraction of what they are decoded. So the sender
 * can go on with what is next while the receiver still works on these.
 */
export class ReadAhead {
  readonly #options: ReadAheadOptions;
  #items: Item[] = [];
  #next = 0;
  #bytes = 0;
  /** The one to come may be as large as the one before. */
  #latestBytes = 0;
  #isWanted = true;
  #isFull = false;
  #turn: NodeJS.Immediate | undefined;

  constructor(options: ReadAheadOptions) {
    this.#options = options;
  }

  get #isEmpty(): boolean {
    return this.#next === this.#items.length;
  }

  push(bytes: Buffer, start: number, end: number): void {
    this.#latestBytes = end - start;
    if (this.#isWanted && this.#isEmpty) {
      this.#options.onMessage(bytes, start, end);
      return;
    }
    this.#items.push({ bytes, start, end });
    this.#bytes += end - start + itemBytes;
    this.#weigh();
  }

  /** Takes the step when all messages before it have been handed on. */
  then(step: () => void): void {
    if (this.#isWanted && this.#isEmpty) step();
    else this.#items.push(step);
  }

  pause(): void {
    this.#isWanted = false;
    this.#weigh();
  }

  resume(): void {
    this.#isWanted = true;
    this.#weigh();
    if (!this.#isEmpty) this.#turn ??= setImmediate(() => this.#handOn());
  }

  /** Nothing is handed on from here. */
  close(): void {
    clearImmediate(this.#turn);
    this.#items = [];
    this.#next = this.#bytes = 0;
  }

  #handOn(): void {
    this.#turn = undefined;
    try {
      for (let handed = 0; this.#isWanted && !this.#isEmpty && handed < turnBytes;) handed += this.#handOne();
    } catch (error) {
      this.#options.onFailed(error);
      return;
    }
    if (this.#isEmpty) {
      this.#items = [];
      this.#next = 0;
    }
    this.#weigh();
    if (this.#isWanted && !this.#isEmpty) this.#turn ??= setImmediate(() => this.#handOn());
  }

  #handOne(): number {
    const item = this.#items[this.#next]!;
    // It is not to be held for as long as those behind it.
    this.#items[this.#next++] = handedOn;
    if (typeof item === "function") {
      item();
      return 0;
    }
    const { bytes, start, end } = item;
    this.#bytes -= end - start + itemBytes;
    this.#options.onMessage(bytes, start, end);
    return end - start;
  }

  #weigh(): void {
    const { limitBytes, onFull, onRoom } = this.#options;
    const heldBytes = this.#isWanted ? this.#bytes : this.#bytes + this.#latestBytes;
    if (!this.#isFull && heldBytes > limitBytes) {
      this.#isFull = true;
      onFull();
    } else if (this.#isFull && heldBytes <= limitBytes / 2) {
      this.#isFull = false;
      onRoom();
    }
  }
}

const handedOn = (): void => undefined;
