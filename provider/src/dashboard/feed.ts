import type { ServerResponse } from "node:http";
import { Notifier } from "../async/notifier.js";
import { delay } from "../async/delay.js";
import { messageOf } from "../errors.js";
import type { Store } from "../store/store.js";
import { EventStream } from "./event-stream.js";
import { listWithOverviews } from "../fleet/list-overviews.js";
import type { Records } from "../fleet/records.js";
import { Topic, type Message } from "./topic.js";

/** Bounds the memory that messages to slow pages take. */
const mostStreams = 1000;

/**
 * Server-sent events for all pages. One loop reads the records once per second for all of them: an additional page costs the
 * target nothing, and without a page nothing is read.
 */
export class Feed {
  readonly #streams = new Set<EventStream>();
  readonly #topics = new Map<string, Topic>();
  readonly #attached = new Notifier();
  /** JSON; undefined until it was read. */
  #list: string | undefined;
  #trouble = "";
  #loop: Promise<void> | undefined;

  constructor(
    readonly records: Records,
    readonly pollMs = 1000,
  ) {}

  get isFull(): boolean {
    return this.#streams.size >= mostStreams;
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

  async close(): Promise<void> {
    for (const { response } of this.#streams) response.end();
    this.#streams.clear();
    this.#attached.notify();
    await this.#loop;
  }

  #detach(stream: EventStream): void {
    this.#streams.delete(stream);
    if (stream.migration !== undefined && !this.#watched().has(stream.migration)) this.#topics.delete(stream.migration);
  }

  #watched(): Set<string> {
    return new Set([...this.#streams].flatMap(({ migration }) => migration ?? []));
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
    try {
      const hasStore = await this.records.read(false, async (store) => {
        await this.#poll(store);
        return true;
      });
      if (!hasStore) await this.#poll(undefined);
      this.#setTrouble("");
    } catch (error) {
      this.#setTrouble(messageOf(error));
    }
    const snapshots = new Map<string | undefined, Buffer>();
    for (const stream of waiting) {
      const { migration } = stream;
      const snapshot = snapshots.get(migration) ?? this.#snapshot(migration);
      // Pages share one buffer.
      snapshots.set(migration, snapshot);
      stream.sendSnapshot(snapshot);
    }
    for (const stream of this.#streams) stream.closeIfStalled();
  }

  /** @param store undefined while no migration was ever recorded on the target */
  async #poll(store: Store | undefined): Promise<void> {
    const list = JSON.stringify(store ? await listWithOverviews(store) : []);
    if (list !== this.#list) this.#broadcast(() => true, event("migrations", list));
    this.#list = list;
    for (const name of this.#watched()) {
      const topic = this.#topics.get(name) ?? new Topic(name);
      const messages = await topic.poll(store);
      this.#topics.set(name, topic);
      if (messages.length === 0) continue;
      this.#broadcast(({ migration }) => migration === name, messages.map(eventOf).join(""));
    }
  }

  #broadcast(concerns: (stream: EventStream) => boolean, text: string): void {
    const content = Buffer.from(text);
    for (const stream of this.#streams) if (stream.isUpToDate && concerns(stream)) stream.sendChange(content);
  }

  #setTrouble(trouble: string): void {
    if (trouble !== this.#trouble) this.#broadcast(() => true, event("trouble", JSON.stringify(trouble)));
    this.#trouble = trouble;
  }

  /** What is unknown because no read has succeeded is left out. */
  #snapshot(migration: string | undefined): Buffer {
    const topic = migration === undefined ? undefined : this.#topics.get(migration);
    const texts = [
      event("trouble", JSON.stringify(this.#trouble)),
      ...(this.#list === undefined ? [] : [event("migrations", this.#list)]),
      ...(topic?.everything() ?? []).map(eventOf),
    ];
    return Buffer.from(texts.join(""));
  }
}

const event = (name: string, data: string): string => `event: ${name}\ndata: ${data}\n\n`;

const eventOf = ({ name, data }: Message): string => event(name, JSON.stringify(data));
