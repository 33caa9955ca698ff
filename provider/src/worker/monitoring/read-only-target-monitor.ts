import { log } from "../../log.js";
import { messageOf } from "../../errors.js";
import { isReadOnlyByDefault } from "../../postgres/read-only-default.js";
import type { Journal } from "../../store/journal.js";
import { holdsLease } from "../../store/lease.js";
import { readOnlyCode, readOnlyFinding } from "../../validation/servers/read-only-target.js";
import { delay } from "../../async/delay.js";

const lookEveryMs = 3000;

/** Tells, while a worker is at work, that the target is to be read only: as Azure makes one whose storage is nearly full. */
export class ReadOnlyTargetMonitor {
  readonly #end = new AbortController();
  readonly #done: Promise<void>;
  #wasTold: boolean | undefined;

  constructor(journal: Journal) {
    this.#done = this.#watch(journal).catch((error: unknown) => {
      // The migration goes on without: what takes its lease away is told by its other writes.
      log.warn(`whether the target is read only is not looked at any more: ${messageOf(error)}`);
    });
  }

  async close(): Promise<void> {
    this.#end.abort();
    await this.#done;
  }

  async #watch(journal: Journal): Promise<void> {
    while (!this.#end.signal.aborted) {
      const [row] = await journal.lease.query<{ isReadOnly: boolean }>(
        `SELECT ${isReadOnlyByDefault} AS "isReadOnly" WHERE ${holdsLease}`,
      );
      if (row && row.isReadOnly !== this.#wasTold) await this.#tell(journal, row.isReadOnly);
      await delay(lookEveryMs, this.#end.signal);
    }
  }

  async #tell(journal: Journal, isReadOnly: boolean): Promise<void> {
    await journal.standing(undefined, readOnlyCode, isReadOnly ? [readOnlyFinding] : []);
    if (isReadOnly) await journal.event(readOnlyFinding.message, { level: "warning" });
    this.#wasTold = isReadOnly;
  }
}
