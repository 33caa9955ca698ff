import type { ServerResponse } from "node:http";
import { delay } from "../async/delay.js";
import { Notifier } from "../async/notifier.js";
import { EventStream } from "./event-stream.js";
import { json, type Reply, type Stream } from "./reply.js";

/** Bounds the memory that messages to slow pages take. */
const maxStreams = 1000;

/** What the pages are sent. */
export interface EventContent {
  /** Reads what has changed, and broadcasts it. Must not reject. */
  readonly poll: () => Promise<void>;
  /** Everything that a newly opened page needs. What is unknown because no read has succeeded is left out. */
  readonly snapshot: (migration: string | undefined) => Buffer;
  /** Called when no page shows the migration any longer. */
  readonly forget?: (migration: string) => void;
}

/**
 * The open pages. One loop polls for all of them: an additional page costs the target nothing, and without a page nothing
 * is read.
 */
export class EventStreams {
  readonly #streams = new Set<EventStream>();
  readonly #attached = new Notifier();
  #loop: Promise<void> | undefined;

  constructor(
    readonly content: EventContent,
    readonly pollMs: number,
  ) {}

  /** The answer to a request for events. */
  open(migration: string | undefined, isHead: boolean): Reply | Stream {
    if (isHead) return { status: 200, headers: { "content-type": "text/event-stream" }, content: "" };
    if (this.#streams.size >= maxStreams)
      return json(503, { error: "too many pages are open" }, { "retry-after": "10" });
    return (response) => this.attach(response, migration);
  }

  /** Sends events to a page until it closes the connection. */
  attach(response: ServerResponse, migration: string | undefined): void {
    // The page may have left while its request was checked; it then emits no further "close".
    if (response.destroyed) return;
    const stream = new EventStream(response, migration);
    this.#streams.add(stream);
    response.on("close", () => this.#detach(stream));
    if (this.#loop) this.#attached.notify();
    else this.#loop = this.#run();
  }

  /** The migrations that pages show. */
  get watched(): Set<string> {
    return new Set([...this.#streams].flatMap(({ migration }) => migration ?? []));
  }

  /** Sends a change to the pages that have received a snapshot. @param migration only to its pages */
  broadcast(text: string, migration?: string): void {
    const content = Buffer.from(text);
    for (const stream of this.#streams)
      if (stream.isUpToDate && (migration === undefined || stream.migration === migration)) stream.sendChange(content);
  }

  async close(): Promise<void> {
    for (const { response } of this.#streams) response.end();
    this.#streams.clear();
    this.#attached.notify();
    await this.#loop;
  }

  #detach(stream: EventStream): void {
    this.#streams.delete(stream);
    const { migration } = stream;
    if (migration !== undefined && !this.watched.has(migration)) this.content.forget?.(migration);
  }

  /** Never rejects. However many pages open during one read, the next read serves all of them. */
  async #run(): Promise<void> {
    while (this.#streams.size > 0) {
      const attached = this.#attached.nextSignal;
      await this.#tick();
      await delay(this.pollMs, attached);
    }
    this.#loop = undefined;
  }

  async #tick(): Promise<void> {
    // A page that opens during the read waits for the next one.
    const waiting = [...this.#streams].filter(({ needsSnapshot }) => needsSnapshot);
    await this.content.poll();
    const snapshots = new Map<string | undefined, Buffer>();
    for (const stream of waiting) {
      const { migration } = stream;
      const snapshot = snapshots.get(migration) ?? this.content.snapshot(migration);
      // Pages share one buffer.
      snapshots.set(migration, snapshot);
      stream.sendSnapshot(snapshot);
    }
    for (const stream of this.#streams) stream.closeIfStalled();
  }
}

export const event = (name: string, data: string): string => `event: ${name}\ndata: ${data}\n\n`;
