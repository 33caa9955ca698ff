import { setImmediate } from "node:timers";

export interface ReadAheadOptions {
  /** Held beyond what the subscriber wants. */
  readonly limitBytes: number;
  readonly onMessage: (bytes: Buffer, start: number, end: number) => void;
  /** No more is to come, until {@link onRoom}. */
  readonly onFull: () => void;
  readonly onRoom: () => void;
  /** A message or a step failed; what is left is for nobody. */
  readonly onFailed: (error: unknown) => void;
}

/** Messages that lie in the same bytes: without an object for each, which would take more than most messages do. */
interface Run {
  readonly bytes: Buffer;
  /** Where each message starts and ends. */
  readonly bounds: number[];
  /** The place in {@link bounds} of the first that is not handed on. */
  next: number;
}

type Item = Run | (() => void);

/** What a message holds beside its bytes, with what the protocol has put around these. */
const overheadBytes = 32;
/** Handed on at a time: about what one read of a socket brings, so that what waits for a turn beside it has one. */
const turnBytes = 64 << 10;
/** Places of items that were handed on, before the list is made anew. */
const itemsLeftAtMost = 1024;

/**
 * Messages that have come before their subscriber wants them, as they came: a fraction of what they are decoded. So the publisher
 * can go on with what is next while the subscriber still works on these.
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
    this.#runIn(bytes).bounds.push(start, end);
    this.#bytes += end - start + overheadBytes;
    this.#weigh();
  }

  /** Takes the step after all messages before it have been handed on. */
  after(step: () => void): void {
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
    this.#goOn();
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
    if (this.#isEmpty || this.#next >= itemsLeftAtMost) {
      this.#items = this.#items.slice(this.#next);
      this.#next = 0;
    }
    this.#weigh();
    this.#goOn();
  }

  #goOn(): void {
    if (this.#isWanted && !this.#isEmpty) this.#turn ??= setImmediate(() => this.#handOn());
  }

  #runIn(bytes: Buffer): Run {
    const last = this.#items.at(-1);
    if (typeof last === "object" && last.bytes === bytes) return last;
    const run = { bytes, bounds: [], next: 0 };
    this.#items.push(run);
    return run;
  }

  /** Answers how many bytes it had. */
  #handOne(): number {
    const item = this.#items[this.#next]!;
    if (typeof item === "function") {
      this.#leave();
      item();
      return 0;
    }
    const { bytes, bounds } = item;
    const [start, end] = [bounds[item.next]!, bounds[item.next + 1]!];
    item.next += 2;
    // Before it is handed on: its subscriber may close us.
    if (item.next === bounds.length) this.#leave();
    this.#bytes -= end - start + overheadBytes;
    this.#options.onMessage(bytes, start, end);
    return end - start;
  }

  /** The item in hand is not to be held for as long as those behind it. */
  #leave(): void {
    this.#items[this.#next++] = nothing;
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

const nothing = (): void => undefined;
