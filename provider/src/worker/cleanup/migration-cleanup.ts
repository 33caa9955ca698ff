import { inspectSlot } from "../../cdc/source/slot-state.js";
import type { FenceSide } from "../../store/fence-record.js";
import { ContentDiffersError, messageOf } from "../../errors.js";
import { isMissingDatabase } from "../../postgres/connection/connect.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import type { DatabasePhase, DatabaseRecord } from "../../store/records.js";
import type { RunContext } from "../context/run-context.js";
import { eraseProgress } from "./erase-migration.js";
import { fencedDatabase, fenceSides, removeFence } from "./database-fence.js";
import { type RetryPolicy, retry } from "../context/retry.js";
import { rowsToKeep } from "./rows-to-keep.js";
import { dropSourceObjects } from "./source-objects.js";
import { clearRollback } from "./rollback-objects.js";

/** Limits the retries for an unreachable server, because the user waits for the cancellation. */
const maxRetrySeconds = 60;

/** Until then a failure lifts the fences: the next attempt starts before them. */
const isBeforeCutover = (phase: DatabasePhase): boolean =>
  phase === "queued" || phase === "copying" || phase === "following";

/** Removes the objects of canceled and failed databases that must not stay on the servers. */
export class MigrationCleanup {
  readonly #context: RunContext;

  constructor(context: RunContext) {
    this.#context = context;
  }

  get #retryPolicy(): RetryPolicy {
    return { seconds: Math.min(maxRetrySeconds, this.#context.spec.reconnectFor) };
  }

  /** Leaves the database on the target to the user. Drops slots, publications and fences on both servers. */
  async removeServerObjects(record: DatabaseRecord): Promise<void> {
    // First, so that the database is not replaced while the source is unreachable.
    if (record.createdByUs || record.beingCreated || record.slot !== undefined)
      await retry(this.#retryPolicy, () => this.#handOver(record));
    if (record.slot !== undefined || record.publications.length > 0)
      await retry(this.#retryPolicy, () => this.dropSourceObjects(record.name));
    await this.takeDownFences(record);
    await this.removeRollback(record);
  }

  async #handOver({ targetName }: DatabaseRecord): Promise<void> {
    const { target, spec } = this.#context;
    try {
      await eraseProgress({ migrationName: spec.migrationName, target }, targetName);
    } catch (error) {
      if (!isMissingDatabase(error)) throw error;
    }
  }

  async dropSourceObjects(database: string): Promise<void> {
    const { spec, journal, source } = this.#context;
    for (const note of await dropSourceObjects(source, spec, database))
      await journal.event(note, { database, level: "warning" });
    await journal.database(database, { slot: null, publications: [] });
  }

  /** Removes the fences of an unfinished copy, cutover or return. */
  async takeDownFences(record: DatabaseRecord, sides: readonly FenceSide[] = fenceSides): Promise<void> {
    for (const side of sides) {
      const fence = record.fences[side];
      if (!fence) continue;
      await removeFence(this.#context[side], fencedDatabase(record, side), fence);
      await this.#context.journal.fence(record.name, side, null);
    }
  }

  async removeRollback(record: DatabaseRecord): Promise<void> {
    if (record.hasRollbackReplication) await retry(this.#retryPolicy, () => clearRollback(this.#context, record));
  }

  /**
   * Drops the slot of a failed copy, which the next attempt restarts. A database that was being replicated, or whose copied
   * rows are kept, keeps its slot, because it resumes from there.
   *
   * @returns notes for the user about remaining objects and failed removals
   */
  async cleanUpFailedDatabase(database: DatabaseRecord, error: unknown): Promise<string[]> {
    const { name, phase, slot, createdByUs, hasRollbackReplication } = database;
    const notes: string[] = [];
    const tried = (removal: Promise<void>): Promise<unknown> =>
      removal.catch((failure: unknown) => notes.push(messageOf(failure)));
    if (isBeforeCutover(phase)) await tried(this.takeDownFences(database));
    if (phase === "rollingBack") await tried(this.takeDownFences(database, ["target"]));
    if (hasRollbackReplication)
      notes.push(
        `the rollback replication of ${name} has a slot on the target. It retains WAL there until pulumi up resumes the migration, rollback is set to drop, or pulumi destroy removes it`,
      );
    const kept = rowsToKeep(database, this.#context.spec, error);
    if (kept) await this.#context.journal.database(name, { sharedCopy: kept });
    // An attempt that was refused before it created the database has copied nothing.
    if (phase === "copying" && (createdByUs || this.#context.spec.dataOnly))
      notes.push(
        kept
          ? `the next attempt uses the copied rows of ${name} again, unless they, the schema or the inputs have changed`
          : `the next attempt copies ${name} from the beginning: rows of this attempt belong to a snapshot that ended with it`,
      );
    if (slot === undefined) return notes;
    const isResumed = phase === "following" || phase === "completing" || kept !== undefined;
    if (!isResumed) await tried(this.dropSourceObjects(name));
    else if (!(error instanceof ContentDiffersError) && (await this.#retainsWal(slot, name)))
      notes.push(
        `the slot ${slot} stays on the source and retains WAL there until pulumi up resumes the migration or pulumi destroy removes it`,
      );
    return notes;
  }

  /** Whether the slot exists; true if the source is unreachable. Dropping the database also dropped the slot. */
  async #retainsWal(slot: string, database: string): Promise<boolean> {
    const { source, spec } = this.#context;
    try {
      const options = { database, purpose: `${spec.migrationName} look at slot`, bookkeeping: true };
      const state = await withSession(source, options, (session) => inspectSlot(session, slot));
      return state !== undefined && state.walStatus !== "lost";
    } catch (error) {
      return ![error, (error as Error).cause].some((one) => sqlStateOf(one) === sqlStates.invalidCatalogName);
    }
  }
}
