import { migrationResource, type MigrationResource } from "../migration-resource.js";
import { bytesPerSecond, sampleOf, type Sample } from "../rates.js";
import { findMigration } from "../store/list-migrations.js";
import { readEvents, type EventRecord } from "../store/read-events.js";
import { readStatus } from "../store/read-status.js";
import { readTables, type TableRecord } from "../store/read-tables.js";
import type { Store } from "../store/store.js";
import type { HistorySample, Messages } from "./messages.js";

export type Message = {
  [Name in keyof Messages]: { readonly name: Name; readonly data: Messages[Name] };
}[keyof Messages];

/** At one a second, an hour. */
const mostSamples = 3600;
const mostEvents = 500;

/** One migration that pages look at: what they have been told, so that only what is new is sent. */
export class Topic {
  #migration: MigrationResource | null = null;
  readonly #tables = new Map<string, { record: TableRecord; text: string }>();
  #events: EventRecord[] = [];
  #samples: Sample[] = [];
  #history: HistorySample[] = [];

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
    messages.push({
      name: "history",
      data: { all: false, samples: [this.#measure(sampleOf(status, Date.now()), status)] },
    });
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
      { name: "history", data: { all: true, samples: this.#history } },
      { name: "tables", data: { all: true, tables: [...this.#tables.values()].map(({ record }) => record) } },
      { name: "events", data: { all: true, events: this.#events } },
    ];
  }

  #measure(sample: Sample, status: Parameters<typeof sampleOf>[0]): HistorySample {
    this.#samples = [...this.#samples, sample].slice(-mostSamples);
    const latencies = Object.values(status.currentSubStateDetails.dbDetails).map(({ latency }) => latency);
    const measured: HistorySample = {
      at: sample.atMs,
      bytesPerSecond: Math.round(bytesPerSecond(this.#samples)),
      lagBytes: sample.lagBytes,
      latencySeconds: Math.max(0, ...latencies),
    };
    this.#history = [...this.#history, measured].slice(-mostSamples);
    return measured;
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
