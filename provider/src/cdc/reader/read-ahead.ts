import { setImmediate } from "node:timers";

export interface ReadAheadOptions {
  /** The maximum size of waiting messages. */
  readonly limitBytes: number;
  readonly onMessage: (bytes: Buffer, start: number, end: number) => void;
  /** The limit is reached: stop reading until {@link onRoom}. */
  readonly onFull: () => void;
  readonly onRoom: () => void;
  /** A message or a step failed. The remaining messages are not delivered. */
  readonly onFailed: (error: unknown) => void;
}

/** Messages in the same buffer. An object for each message would take more memory than most messages. */
interface Run {
  readonly bytes: Buffer;
  /** Start and end of each message. */
  readonly bounds: number[];
  /** The index in {@link bounds} of the next message to deliver. */
  next: number;
}

type Item = Run | (() => void);

/** Memory of a message in addition to its bytes, including the protocol's headers. */
const overheadBytes = 32;
/** Delivered without a pause: about one read of a socket. Afterwards other events get their turn. */
const turnBytes = 64 << 10;
/** The number of delivered items before the list is shortened. */
const maxDeliveredItems = 1024;

/**
 * Encoded messages that arrived while the subscriber was paused. They take a fraction of the memory of decoded messages. The
 * publisher can decode the next portion while the subscriber still works on these.
 */
export class ReadAhead {
  readonly #options: ReadAheadOptions;
  #items: Item[] = [];
  #next = 0;
  #bytes = 0;
  /** The next message may be as large as this one. */
  #latestBytes = 0;
  #isPaused = false;
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
    if (!this.#isPaused && this.#isEmpty) {
      this.#options.onMessage(bytes, start, end);
      return;
    }
    this.#runIn(bytes).bounds.push(start, end);
    this.#bytes += end - start + overheadBytes;
    this.#checkLimit();
  }

  /** Runs the step after all earlier messages have been delivered. */
  after(step: () => void): void {
    if (!this.#isPaused && this.#isEmpty) step();
    else this.#items.push(step);
  }

  pause(): void {
    this.#isPaused = true;
    this.#checkLimit();
  }

  resume(): void {
    this.#isPaused = false;
    this.#checkLimit();
    this.#scheduleDelivery();
  }

  /** Discards the remaining messages. */
  close(): void {
    clearImmediate(this.#turn);
    this.#items = [];
    this.#next = this.#bytes = 0;
  }

  #deliver(): void {
    this.#turn = undefined;
    try {
      for (let bytes = 0; !this.#isPaused && !this.#isEmpty && bytes < turnBytes;) bytes += this.#deliverOne();
    } catch (error) {
      this.#options.onFailed(error);
      return;
    }
    if (this.#isEmpty || this.#next >= maxDeliveredItems) {
      this.#items = this.#items.slice(this.#next);
      this.#next = 0;
    }
    this.#checkLimit();
    this.#scheduleDelivery();
  }

  #scheduleDelivery(): void {
    if (!this.#isPaused && !this.#isEmpty) this.#turn ??= setImmediate(() => this.#deliver());
  }

  #runIn(bytes: Buffer): Run {
    const last = this.#items.at(-1);
    if (typeof last === "object" && last.bytes === bytes) return last;
    const run = { bytes, bounds: [], next: 0 };
    this.#items.push(run);
    return run;
  }

  /** Returns the size of the delivered message. */
  #deliverOne(): number {
    const item = this.#items[this.#next]!;
    if (typeof item === "function") {
      this.#removeItem();
      item();
      return 0;
    }
    const { bytes, bounds } = item;
    const [start, end] = [bounds[item.next]!, bounds[item.next + 1]!];
    item.next += 2;
    // Before the delivery: its handler may call `close`.
    if (item.next === bounds.length) this.#removeItem();
    this.#bytes -= end - start + overheadBytes;
    this.#options.onMessage(bytes, start, end);
    return end - start;
  }

  /** Replaces the current item, so that its memory can be freed before the list is shortened. */
  #removeItem(): void {
    this.#items[this.#next++] = nothing;
  }

  #checkLimit(): void {
    const { limitBytes, onFull, onRoom } = this.#options;
    const heldBytes = this.#isPaused ? this.#bytes + this.#latestBytes : this.#bytes;
    if (!this.#isFull && heldBytes > limitBytes) {
      this.#isFull = true;
      onFull();
    } else if (this.#isFull && heldBytes <= limitBytes / 2) {
      this.#isFull = false;
      onRoom();
    }
  }
}

const nothing = (): void => undefined;
