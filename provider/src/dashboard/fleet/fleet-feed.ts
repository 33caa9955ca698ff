import { rowsOf, type FleetRow } from "../../fleet/fleet-rows.js";
import { event, EventStreams } from "../event-streams.js";
import type { Messages } from "../messages.js";
import type { Fleet } from "./fleet.js";

/** Short, so that a page shows each target soon after its first answer. The targets are read less often. */
const pollMs = 500;

/** What the pages of a fleet show. A page gets every target once, then only those that have changed. */
export class FleetFeed {
  readonly streams: EventStreams;
  #sent = new Map<string, { readonly text: string; readonly rows: readonly FleetRow[] }>();
  #list = "";

  constructor(readonly fleet: Fleet) {
    this.streams = new EventStreams(
      { poll: () => this.#poll(), snapshot: () => Buffer.from(this.#snapshot()) },
      pollMs,
    );
  }

  #poll(): Promise<void> {
    // A page must not wait for a target that does not answer.
    void this.fleet.poll();
    const known = this.#sent;
    this.#sent = new Map(
      this.fleet.readings.map((reading) => {
        const rows = rowsOf(reading);
        return [reading.target.name, { rows, text: JSON.stringify(rows.map(withoutAge)) }];
      }),
    );
    if ([...known.keys()].some((name) => !this.#sent.has(name))) this.streams.broadcast(this.#snapshot());
    else this.#broadcastChanges(known);
    return Promise.resolve();
  }

  #broadcastChanges(known: ReadonlyMap<string, { readonly text: string }>): void {
    const changed = [...this.#sent].filter(([name, { text }]) => known.get(name)?.text !== text);
    if (changed.length > 0) this.streams.broadcast(fleetEvent({ all: false, targets: changed.map(targetRows) }));
    const list = this.#listEvent();
    if (list !== this.#list) this.streams.broadcast(list);
    this.#list = list;
  }

  #snapshot(): string {
    return (
      event("trouble", '""') + this.#listEvent() + fleetEvent({ all: true, targets: [...this.#sent].map(targetRows) })
    );
  }

  #listEvent(): string {
    const { problems, listFailure } = this.fleet;
    const list: Messages["list"] = { problems, failure: listFailure };
    return event("list", JSON.stringify(list));
  }
}

const fleetEvent = (content: Messages["fleet"]): string => event("fleet", JSON.stringify(content));

const targetRows = ([target, { rows }]: [string, { readonly rows: readonly FleetRow[] }]) => ({ target, rows });

/** The time of a successful read changes all the time. */
const withoutAge = ({ readAt, ...row }: FleetRow): object => ({ ...row, readAt: row.unreachable === null || readAt });
