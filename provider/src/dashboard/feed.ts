import type { ServerResponse } from "node:http";
import { messageOf } from "../errors.js";
import { migrationResource } from "../display/migration-resource.js";
import { listMigrations } from "../store/list-migrations.js";
import type { Store } from "../store/store.js";
import type { Records } from "./records.js";
import { Topic, type Message } from "./topic.js";

interface Page {
  readonly response: ServerResponse;
  readonly migration: string | undefined;
  /** Has got all that there was when it came. */
  isUpToDate: boolean;
}

/**
 * Server-sent events for all pages from one look at the records a second: a page more costs the target nothing. While no
 * page is open nothing is asked.
 */
export class Feed {
  readonly #pages = new Set<Page>();
  readonly #topics = new Map<string, Topic>();
  #list = "[]";
  #trouble = "";
  #timer: NodeJS.Timeout | undefined;

  constructor(
    readonly records: Records,
    readonly pollMs = 1000,
  ) {}

  /** Sends to a page until it goes. */
  attach(response: ServerResponse, migration: string | undefined): void {
    const page: Page = { response, migration, isUpToDate: false };
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.flushHeaders();
    this.#pages.add(page);
    response.on("close", () => this.#detach(page));
    clearTimeout(this.#timer);
    this.#schedule(0);
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const { response } of this.#pages) response.end();
    this.#pages.clear();
  }

  #detach(page: Page): void {
    this.#pages.delete(page);
    const isWatched = [...this.#pages].some(({ migration }) => migration === page.migration);
    if (page.migration !== undefined && !isWatched) this.#topics.delete(page.migration);
  }

  #schedule(afterMs: number): void {
    this.#timer = setTimeout(() => {
      void this.#tick().then(() => {
        clearTimeout(this.#timer);
        if (this.#pages.size > 0) this.#schedule(this.pollMs);
      });
    }, afterMs);
  }

  /** Never fails: what cannot be read is told to the pages. */
  async #tick(): Promise<void> {
    // Who comes while the records are read is not among what was looked at.
    const waiting = [...this.#pages].filter(({ isUpToDate }) => !isUpToDate);
    try {
      await this.records.read(undefined, (store) => this.#poll(store));
      this.#tellTrouble("");
    } catch (error) {
      this.#tellTrouble(messageOf(error));
    }
    for (const page of waiting) if (this.#pages.has(page)) this.#sendEverything(page);
  }

  async #poll(store: Store): Promise<void> {
    const list = JSON.stringify((await listMigrations(store)).map((one) => migrationResource(one)));
    if (list !== this.#list) this.#broadcast(() => true, event("migrations", list));
    this.#list = list;
    const watched = new Set([...this.#pages].flatMap(({ migration }) => (migration === undefined ? [] : [migration])));
    for (const name of watched) {
      const topic = this.#topics.get(name) ?? new Topic(name);
      this.#topics.set(name, topic);
      const messages = await topic.poll(store);
      if (messages.length === 0) continue;
      this.#broadcast(({ migration }) => migration === name, messages.map(eventOf).join(""));
    }
  }

  #broadcast(concerns: (page: Page) => boolean, text: string): void {
    for (const page of this.#pages) if (page.isUpToDate && concerns(page)) page.response.write(text);
  }

  #tellTrouble(trouble: string): void {
    if (trouble !== this.#trouble) this.#broadcast(() => true, event("trouble", JSON.stringify(trouble)));
    this.#trouble = trouble;
  }

  #sendEverything(page: Page): void {
    const topic = page.migration === undefined ? undefined : this.#topics.get(page.migration);
    const own = topic ? topic.everything() : page.migration === undefined ? [] : [nobody];
    const texts = [
      event("migrations", this.#list),
      event("trouble", JSON.stringify(this.#trouble)),
      ...own.map(eventOf),
    ];
    page.response.write(texts.join(""));
    page.isUpToDate = true;
  }
}

const nobody: Message = { name: "migration", data: null };

const event = (name: string, data: string): string => `event: ${name}\ndata: ${data}\n\n`;

const eventOf = ({ name, data }: Message): string => event(name, JSON.stringify(data));
