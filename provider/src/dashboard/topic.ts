import { migrationResource, type MigrationResource } from "../display/migration-resource.js";
import { bytesPerSecond, type Sample } from "../units/rates.js";
import { findMigration } from "../store/list-migrations.js";
import { readEvents, type EventRecord } from "../store/read-events.js";
import { readStatus } from "../store/read-status.js";
import { readTables, type TableRecord } from "../store/read-tables.js";
import { readSamples } from "../store/samples.js";
import type { Store } from "../store/store.js";
import type { HistorySample, Messages } from "./messages.js";

export type Message = {
  [Name in keyof Messages]: { readonly name: Name; readonly data: Messages[Name] };
}[keyof Messages];

/** The records hold fewer: where more have come together, their thinned form takes their place. */
const mostSamples = 6000;
const mostEvents = 500;

/** One migration that pages look at: what they have been told, so that only what is new is sent. */
export class Topic {
  #migration: MigrationResource | null = null;
  readonly #tables = new Map<string, { record: TableRecord; text: string }>();
  #events: EventRecord[] = [];
  #samples: Sample[] = [];

  constructor(readonly name: string) {}

  /** Looks at the records; answers what has changed. */
  async poll(store: Store): Promise<Message[]> {
    const summary = await findMigration(store, this.name);
    const status = summary && (await readStatus(store, this.name));
    const migration = summary && status ? migrationResource(summary, status) : null;
    const messages: Message[] = [];
    if (JSON.stringify(migration) !== JSON.stringify(this.#migration))
      messages.push({ name: "migration", data: migration });
    this.#migration = migration;
    if (!status) return messages;
    const history = await this.#measured(store);
    if (history.samples.length > 0) messages.push({ name: "history", data: history });
    const tables = this.#changedTables(await readTables(store, this.name));
    if (tables.length > 0) messages.push({ name: "tables", data: { all: false, tables } });
    const events = await readEvents(store, this.name, { after: this.#events.at(-1)?.id ?? 0, most: mostEvents });
    if (events.length > 0) messages.push({ name: "events", data: { all: false, events } });
    this.#events = [...this.#events, ...events].slice(-mostEvents);
    return messages;
  }

  /** All that a page needs that has just come. */
  everything(): Message[] {
    return [
      { name: "migration", data: this.#migration },
      { name: "history", data: { all: true, samples: this.#history(0) } },
      { name: "tables", data: { all: true, tables: [...this.#tables.values()].map(({ record }) => record) } },
      { name: "events", data: { all: true, events: this.#events } },
    ];
  }

  async #measured(store: Store): Promise<Messages["history"]> {
    const all = this.#samples.length === 0 || this.#samples.length > mostSamples;
    if (all) this.#samples = [];
    const known = this.#samples.length;
    this.#samples.push(...(await readSamples(store, this.name, this.#samples.at(-1)?.atMs)));
    return { all, samples: this.#history(known) };
  }

  #history(from: number): HistorySample[] {
    return this.#samples.slice(from).map((sample, i) => ({
      at: sample.atMs,
      bytesPerSecond: Math.round(bytesPerSecond(this.#samples, from + i)),
      lagBytes: sample.lagBytes,
      latencySeconds: sample.latencySeconds,
    }));
  }

  #changedTables(tables: readonly TableRecord[]): TableRecord[] {
    return tables.filter((record) => {
      const key = JSON.stringify([record.database, record.schema, record.table]);
      const text = JSON.stringify(record);
      if (this.#tables.get(key)?.text === text) return false;
      this.#tables.set(key, { record, text });
      return true;
    });
  }
}
