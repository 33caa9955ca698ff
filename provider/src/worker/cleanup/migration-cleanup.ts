import { inspectSlot } from "../../cdc/source/slot-state.js";
import type { FenceSide } from "../../store/fence-record.js";
import { ContentDiffersError, messageOf } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import type { DatabaseRecord } from "../../store/records.js";
import type { RunContext } from "../context/run-context.js";
import { fencedDatabase, fenceSides, removeFence } from "./database-fence.js";
import { type RetryPolicy, retry } from "../context/retry.js";
import { dropSourceObjects } from "./source-objects.js";
import { clearRollback } from "./rollback-objects.js";

/** With a server that is away, also when all else is being canceled: the user waits for it. */
const mostPatienceSeconds = 60;

/** What a database that does not come to its end has on the servers that must not stay there. */
export class MigrationCleanup {
  readonly #context: RunContext;

  constructor(context: RunContext) {
    this.#context = context;
  }

  get #patience(): RetryPolicy {
    return { seconds: Math.min(mostPatienceSeconds, this.#context.spec.reconnectFor) };
  }

  /** On the source, and on the target for its way back. */
  async removeServerObjects(record: DatabaseRecord): Promise<void> {
    if (record.slot !== undefined || record.publications.length > 0)
      await retry(this.#patience, () => this.dropSourceObjects(record.name));
    await this.takeDownFences(record);
    await this.removeRollback(record);
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

  async removeRollback(record: DatabaseRecord): Promise<void> {
    if (record.hasRollbackReplication) await retry(this.#patience, () => clearRollback(this.#context, record));
  }

  /**
   * A copy that failed is begun anew, so its slot only fills the source's disk; one that had come to following keeps its
   * slot, without which it could not go on.
   *
   * @returns what the user is told of: what stays, and what could not be removed
   */
  async cleanUpFailedDatabase(database: DatabaseRecord, error: unknown): Promise<string[]> {
    const { name, phase, slot, hasRollbackReplication } = database;
    const notes: string[] = [];
    const tried = (removal: Promise<void>): Promise<unknown> =>
      removal.catch((failure: unknown) => notes.push(messageOf(failure)));
    if (phase === "following") await tried(this.takeDownFences(database));
    if (phase === "rollingBack") await tried(this.takeDownFences(database, ["target"]));
    if (hasRollbackReplication)
      notes.push(
        `the way back of ${name} has a slot on the target, which retains WAL there until pulumi up goes on, rollback is drop, or pulumi destroy removes it`,
      );
    if (phase === "copying")
      notes.push(
        `the next attempt copies ${name} from the beginning: rows of this attempt belong to a snapshot that ended with it`,
      );
    if (slot === undefined) return notes;
    const isFollowed = phase === "following" || phase === "completing";
    if (!isFollowed) await tried(this.dropSourceObjects(name));
    else if (!(error instanceof ContentDiffersError) && (await this.#retainsWal(slot, name)))
      notes.push(
        `the slot ${slot} is kept on the source and retains WAL there until pulumi up goes on or pulumi destroy removes it`,
      );
    return notes;
  }

  /** True when the source does not answer; false when the slot is gone, which is dropped with its database. */
  async #retainsWal(slot: string, database: string): Promise<boolean> {
    const { source, spec } = this.#context;
    try {
      const session = await connect(source, {
        ...{ database, purpose: `${spec.migrationName} look at slot`, bookkeeping: true },
      });
      const state = await inspectSlot(session, slot).finally(() => session.end());
      return state !== undefined && state.walStatus !== "lost";
    } catch (error) {
      return ![error, (error as Error).cause].some((one) => sqlStateOf(one) === sqlStates.invalidCatalogName);
    }
  }
}
