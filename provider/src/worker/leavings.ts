import { dropSourceObjects } from "./source-objects.js";
import type { FenceSide } from "../cutover/fence.js";
import type { DatabaseRecord } from "../store/records.js";
import type { RunContext } from "./run-context.js";
import { fencedDatabase, fenceSides, removeFence } from "./database-fence.js";
import { type Patience, rideOut } from "./ride-out.js";
import { clearWayBack } from "./way-back.js";

/** With a server that is away, also when all else is being canceled: the user waits for it. */
const mostPatienceSeconds = 60;

/** What a database that does not come to its end has on the servers that must not stay there. */
export class Leavings {
  readonly #context: RunContext;

  constructor(context: RunContext) {
    this.#context = context;
  }

  get #patience(): Patience {
    return { seconds: Math.min(mostPatienceSeconds, this.#context.wish.reconnectFor) };
  }

  /** On the source, and on the target for its way back. */
  async removeAll(record: DatabaseRecord): Promise<void> {
    if (record.slot !== undefined || record.publications.length > 0)
      await rideOut(this.#patience, () => this.dropSourceObjects(record.name));
    await this.takeDownFences(record);
    await this.removeWayBack(record);
  }

  async dropSourceObjects(database: string): Promise<void> {
    const { job, journal, source } = this.#context;
    for (const note of await dropSourceObjects(source, job, database))
      await journal.event(note, { database, level: "warning" });
    await journal.database(database, { slot: null, publications: [] });
  }

  /** Those that a cutover or a return has left which does not come to its end. */
  async takeDownFences(record: DatabaseRecord, sides: readonly FenceSide[] = fenceSides): Promise<void> {
    for (const side of sides) {
      const fence = record.fences[side];
      if (!fence) continue;
      await removeFence(this.#context[side], fencedDatabase(record, side), fence);
      await this.#context.journal.fence(record.name, side, null);
    }
  }

  async removeWayBack(record: DatabaseRecord): Promise<void> {
    if (record.hasWayBack) await rideOut(this.#patience, () => clearWayBack(this.#context, record));
  }
}
