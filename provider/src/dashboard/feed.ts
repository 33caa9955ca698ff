import { messageOf } from "../errors.js";
import { listWithOverviews } from "../fleet/list-overviews.js";
import type { Records } from "../fleet/records.js";
import type { Store } from "../store/store.js";
import { event, EventStreams } from "./event-streams.js";
import { Topic, type Message } from "./topic.js";

/** What the pages of one target show, read once per second for all of them. */
export class Feed {
  readonly streams: EventStreams;
  readonly #topics = new Map<string, Topic>();
  /** JSON; undefined until it was read. */
  #list: string | undefined;
  #trouble = "";

  constructor(
    readonly records: Records,
    pollMs = 1000,
  ) {
    this.streams = new EventStreams(
      {
        poll: () => this.#read(),
        snapshot: (migration) => this.#snapshot(migration),
        forget: (migration) => this.#topics.delete(migration),
      },
      pollMs,
    );
  }

  async #read(): Promise<void> {
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
  }

  /** @param store undefined while no migration was ever recorded on the target */
  async #poll(store: Store | undefined): Promise<void> {
    const list = JSON.stringify(store ? await listWithOverviews(store) : []);
    if (list !== this.#list) this.streams.broadcast(event("migrations", list));
    this.#list = list;
    for (const name of this.streams.watched) {
      const topic = this.#topics.get(name) ?? new Topic(name);
      const messages = await topic.poll(store);
      this.#topics.set(name, topic);
      if (messages.length > 0) this.streams.broadcast(messages.map(eventOf).join(""), name);
    }
  }

  #setTrouble(trouble: string): void {
    if (trouble !== this.#trouble) this.streams.broadcast(event("trouble", JSON.stringify(trouble)));
    this.#trouble = trouble;
  }

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

const eventOf = ({ name, data }: Message): string => event(name, JSON.stringify(data));
