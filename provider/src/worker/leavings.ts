import { dropSourceObjects } from "./source-objects.js";
import type { DatabaseRecord } from "../store/records.js";
import type { RunContext } from "./run-context.js";
import { removeFence } from "./source-fence.js";
import { clearWayBack } from "./way-back.js";

/** What a database that does not come to its end has on the servers that must not stay there. */
export class Leavings {
  readonly #context: RunContext;

  constructor(context: RunContext) {
    this.#context = context;
  }

  /** On the source, and on the target for its way back. */
  async removeAll(record: DatabaseRecord): Promise<void> {
    if (record.slot !== undefined || record.publications.length > 0) await this.dropSourceObjects(record.name);
    await this.takeDownFence(record);
    await this.removeWayBack(record);
  }

  async dropSourceObjects(database: string): Promise<void> {
    const { job, journal, source } = this.#context;
    for (const note of await dropSourceObjects(source, job, database))
      await journal.event(note, { database, level: "warning" });
    await journal.database(database, { slot: null, publications: [] });
  }

  /** One that a cutover has left which does not come to its end. */
  async takeDownFence({ name, fence }: DatabaseRecord): Promise<void> {
    if (!fence) return;
    await removeFence(this.#context.source, name, fence);
    await this.#context.journal.database(name, { fence: null });
  }

  async removeWayBack(record: DatabaseRecord): Promise<void> {
    if (record.hasWayBack) await clearWayBack(this.#context, record);
  }
}
