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

/** The records hold fewer: when more have accumulated here, they are read again in their thinned form. */
const maxSamples = 6000;
const maxEvents = 500;

/** The last known state of one migration that pages show, to send them only what changed. */
export class Topic {
  #migration: MigrationResource | null | undefined;
  readonly #tables = new Map<string, { record: TableRecord; text: string }>();
  #events: EventRecord[] = [];
  #samples: Sample[] = [];

  constructor(readonly name: string) {}

  /** Reads the records; returns what changed. A read that fails changes nothing here, so that no change is lost. */
  async poll(store: Store | undefined): Promise<Message[]> {
    const summary = store && (await findMigration(store, this.name));
    const status = store && summary && (await readStatus(store, this.name));
    if (!store || !summary || !status) return this.#updateMigration(null);
    const migration = migrationResource(summary, status);
    const isAnother = migration.startedOn !== this.#migration?.startedOn;
    const lastSample = isAnother || this.#samples.length > maxSamples ? undefined : this.#samples.at(-1)?.atMs;
    const samples = await readSamples(store, this.name, lastSample);
    const tables = await readTables(store, this.name);
    const lastEvent = isAnother ? 0 : (this.#events.at(-1)?.id ?? 0);
    const events = await readEvents(store, this.name, { after: lastEvent, most: maxEvents });
    if (isAnother) this.#tables.clear();
    return [
      ...this.#updateMigration(migration),
      ...this.#updateHistory(lastSample === undefined, samples),
      ...this.#updateTables(isAnother, tables),
      ...this.#updateEvents(isAnother, events),
    ];
  }

  /** Everything that a newly opened page needs. */
  everything(): Message[] {
    if (this.#migration === undefined) return [];
    return [
      { name: "migration", data: this.#migration },
      { name: "history", data: { all: true, samples: this.#history(0) } },
      { name: "tables", data: { all: true, tables: [...this.#tables.values()].map(({ record }) => record) } },
      { name: "events", data: { all: true, events: this.#events } },
    ];
  }

  #updateMigration(migration: MigrationResource | null): Message[] {
    const isSame = this.#migration !== undefined && JSON.stringify(migration) === JSON.stringify(this.#migration);
    this.#migration = migration;
    return isSame ? [] : [{ name: "migration", data: migration }];
  }

  #updateHistory(all: boolean, samples: readonly Sample[]): Message[] {
    const known = all ? 0 : this.#samples.length;
    this.#samples = [...this.#samples.slice(0, known), ...samples];
    return samples.length === 0 ? [] : [{ name: "history", data: { all, samples: this.#history(known) } }];
  }

  #history(from: number): HistorySample[] {
    return this.#samples.slice(from).map((sample, i) => ({
      at: sample.atMs,
      bytesPerSecond: Math.round(bytesPerSecond(this.#samples, from + i)),
      lagBytes: sample.lagBytes,
      latencySeconds: sample.latencySeconds,
    }));
  }

  #updateTables(all: boolean, records: readonly TableRecord[]): Message[] {
    const tables = records.filter((record) => {
      const key = JSON.stringify([record.database, record.schema, record.table]);
      const text = JSON.stringify(record);
      if (this.#tables.get(key)?.text === text) return false;
      this.#tables.set(key, { record, text });
      return true;
    });
    return all || tables.length > 0 ? [{ name: "tables", data: { all, tables } }] : [];
  }

  #updateEvents(all: boolean, events: readonly EventRecord[]): Message[] {
    this.#events = [...(all ? [] : this.#events), ...events].slice(-maxEvents);
    return all || events.length > 0 ? [{ name: "events", data: { all, events } }] : [];
  }
}
