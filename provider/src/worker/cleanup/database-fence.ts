import {
  extendRecord,
  fenceRemedy,
  readFenceRecord,
  putUpFence,
  takeDownFence,
  type FencedDatabase,
} from "../../cutover/fence.js";
import type { FenceRecord, FenceSide } from "../../store/fence-record.js";
import { RefusedError, TakenOverError, messageOf } from "../../errors.js";
import { isMissingDatabase } from "../../postgres/connection/connect.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { limitLockWaits } from "../../postgres/locks/lock-waits.js";
import type { DatabaseRecord } from "../../store/records.js";
import { retry } from "../context/retry.js";
import type { Work } from "../context/work.js";

const defaultRetrySeconds = 60;
const minLockWaitMs = 5000;

export const fenceSides: readonly FenceSide[] = ["source", "target"];

/**
 * The fence of one database. On the source, an online migration raises it at the cutover, and an offline one before the snapshot.
 * On the target, a return raises it. The earlier settings are in the records before the fence is raised and until it is removed.
 * If the worker dies, its successor, an update or the deletion
 * restores them from there.
 */
export class DatabaseFence {
  readonly #work: Work;
  readonly #name: string;
  readonly #fenced: FencedDatabase;
  readonly #endpoint: Endpoint;
  #record: FenceRecord | undefined;
  /** Whether this worker has raised it. */
  #isUp = false;

  /** @param database the record, with the settings that an earlier worker stored */
  constructor(work: Work, database: DatabaseRecord, side: FenceSide) {
    this.#work = work;
    this.#name = database.name;
    this.#fenced = fencedDatabase(database, side);
    this.#endpoint = work[side];
    this.#record = database.fences[side];
  }

  /**
   * Also completes a fence that was raised before, for settings that were added since.
   *
   * @throws RefusedError if the role lacks the privileges
   */
  async putUp(): Promise<void> {
    const { spec, journal } = this.#work;
    const { side, database } = this.#fenced;
    await withSession(this.#endpoint, { database, purpose: `${spec.migrationName} fence` }, async (session) => {
      await limitLockWaits(session);
      const now = await readFenceRecord(session, side);
      this.#record = this.#record ? extendRecord(this.#record, now) : now;
      await journal.fence(this.#name, side, this.#record);
      const spared = await putUpFence(session, this.#fenced, this.#record);
      const text = `the ${side} is read-only for every role; its sessions were terminated`;
      if (!this.#isUp) await journal.event(text, { database: this.#name });
      this.#isUp = true;
      if (spared.length > 0) await this.#warnOfSuperusers(spared);
    });
  }

  /** The settings that the fence replaced; undefined while it is not raised. */
  get replaced(): FenceRecord | undefined {
    return this.#record;
  }

  /** Restores the earlier settings, if a fence is recorded. @throws RefusedError with the statements to run manually */
  async takeDown(): Promise<void> {
    if (!this.#record) return;
    const { journal } = this.#work;
    const { side } = this.#fenced;
    await removeFence(this.#endpoint, this.#fenced, this.#record);
    this.#record = undefined;
    this.#isUp = false;
    await journal.fence(this.#name, side, null);
    await journal.event(`the ${side} is writable again`, { database: this.#name });
  }

  /** Runs a step behind the fence and removes the fence if it fails. A worker that was replaced leaves that to its successor. */
  async takeDownOnFailure(run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      if (error instanceof TakenOverError) throw error;
      await this.takeDown().catch((failure: unknown) => {
        throw new AggregateError([error, failure]);
      });
      throw error;
    }
  }

  /** Warns of changes that were written although the fence was raised. */
  async reportEscapedChanges(changes: number): Promise<void> {
    const { side } = this.#fenced;
    const other = side === "source" ? "target" : "source";
    await this.#warn(
      `${changes} changes were written on the ${side} in spite of the fence; they were applied to the ${other} but not compared`,
      `stop the application that overrides default_transaction_read_only or uses READ WRITE transactions: its next writes on the ${side} are lost`,
    );
  }

  #warnOfSuperusers(superusers: readonly string[]): Promise<void> {
    const { user } = this.#endpoint;
    return this.#warn(
      `sessions of ${superusers.join(", ")} on the target are still open, because ${user} cannot terminate sessions of superusers: their next writes are lost`,
      "on Azure, azuresu is the service itself, which writes no data of yours; elsewhere terminate them as a superuser",
    );
  }

  async #warn(message: string, remedy: string): Promise<void> {
    const { journal } = this.#work;
    const database = this.#name;
    await journal.event(message, { database, level: "warning" });
    await journal.findings([
      {
        database,
        type: "ServerParametersValidation",
        state: "Warning",
        code: "PGM-602",
        object: database,
        objectType: "Database",
        message,
        remedy,
      },
    ]);
  }
}

export const fencedDatabase = (
  { name, targetName }: Pick<DatabaseRecord, "name" | "targetName">,
  side: FenceSide,
): FencedDatabase => ({ side, database: side === "source" ? name : targetName });

/**
 * Removes a fence, also while the migration is being canceled. Retries for a minute while the server is unreachable. Waits
 * only that long for locks on the settings, because a read-only database without explanation must not remain. A dropped
 * database took its settings with it.
 *
 * @throws RefusedError with the statements to run manually; its cause is UnreachableError if the server stays unreachable
 */
export async function removeFence(
  endpoint: Endpoint,
  fenced: FencedDatabase,
  record: FenceRecord,
  retrySeconds = defaultRetrySeconds,
): Promise<void> {
  const { side, database } = fenced;
  const deadline = Date.now() + retrySeconds * 1000;
  try {
    await retry({ seconds: retrySeconds }, () =>
      removeOnce(endpoint, fenced, record, Math.max(deadline - Date.now(), minLockWaitMs)),
    );
  } catch (cause) {
    if (isMissingDatabase(cause)) return;
    throw new RefusedError(`${database} stays read-only on the ${side} ${endpoint.host}: ${messageOf(cause)}`, {
      remedy: `on the ${side}: ${fenceRemedy(database, record)}`,
      cause,
    });
  }
}

function removeOnce(
  endpoint: Endpoint,
  fenced: FencedDatabase,
  record: FenceRecord,
  lockWaitMs: number,
): Promise<void> {
  const { database } = fenced;
  return withSession(endpoint, { database, purpose: "take down fence", bookkeeping: true }, async (session) => {
    await session.query(`SET lock_timeout = ${lockWaitMs}`);
    await takeDownFence(session, fenced, record);
  });
}
