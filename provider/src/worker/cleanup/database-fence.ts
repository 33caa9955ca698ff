import { setTimeout as sleep } from "node:timers/promises";
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
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { connect, isMissingDatabase } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { limitLockWaits } from "../../postgres/locks/lock-waits.js";
import type { DatabaseRecord } from "../../store/records.js";
import type { Work } from "../context/work.js";

const usualRetryMs = 60_000;
const retryEveryMs = 2000;
const leastLockWaitMs = 5000;

export const fenceSides: readonly FenceSide[] = ["source", "target"];

/**
 * The fence around one database: the source's from its cutover on, the target's from its return on. What it covers is
 * on record before it is put up and until it is taken down again, so that after the death of a worker its successor, an
 * update or the deletion can restore what was.
 */
export class DatabaseFence {
  readonly #work: Work;
  readonly #name: string;
  readonly #fenced: FencedDatabase;
  readonly #endpoint: Endpoint;
  #record: FenceRecord | undefined;

  /** @param database with what an earlier worker has put on record */
  constructor(work: Work, database: DatabaseRecord, side: FenceSide) {
    this.#work = work;
    this.#name = database.name;
    this.#fenced = fencedDatabase(database, side);
    this.#endpoint = work[side];
    this.#record = database.fences[side];
  }

  /** Also completes a fence that an earlier worker had begun. @throws RefusedError where the role may not */
  async putUp(): Promise<void> {
    const { spec, journal } = this.#work;
    const { side, database } = this.#fenced;
    const session = await connect(this.#endpoint, { database, purpose: `${spec.migrationName} fence` });
    try {
      await limitLockWaits(session);
      const now = await readFenceRecord(session, side);
      this.#record = this.#record ? extendRecord(this.#record, now) : now;
      await journal.fence(this.#name, side, this.#record);
      const spared = await putUpFence(session, this.#fenced, this.#record);
      await journal.event(`the ${side} is read only for every role; its sessions were ended`, { database: this.#name });
      if (spared.length > 0) await this.#tellSpared(spared);
    } finally {
      await session.end();
    }
  }

  /** Restores what was before; does nothing where no fence is on record. @throws RefusedError saying how to do it by hand */
  async takeDown(): Promise<void> {
    if (!this.#record) return;
    const { journal } = this.#work;
    const { side } = this.#fenced;
    await removeFence(this.#endpoint, this.#fenced, this.#record);
    this.#record = undefined;
    await journal.fence(this.#name, side, null);
    await journal.event(`the ${side} may be written again`, { database: this.#name });
  }

  /** What is to be done behind it: it falls when that fails. A worker that was succeeded leaves it to its successor. */
  async downIfItFails(run: () => Promise<void>): Promise<void> {
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

  /** Of changes that were written behind it. */
  async tellEscaped(changes: number): Promise<void> {
    const { side } = this.#fenced;
    const other = side === "source" ? "target" : "source";
    const message = `${changes} changes were written on the ${side} in spite of the fence; they are on the ${other}, and were not compared`;
    await this.#warn(
      message,
      "find the application that sets default_transaction_read_only or its transactions to read write, and stop it: what it writes from now on reaches nobody",
    );
  }

  #tellSpared(superusers: readonly string[]): Promise<void> {
    const { user } = this.#endpoint;
    return this.#warn(
      `sessions of ${superusers.join(", ")} on the target were left open, since ${user} cannot end a superuser's: what these write from now on reaches nobody`,
      "on Azure azuresu is the service itself, which writes no data of yours; elsewhere end them as a superuser",
    );
  }

  async #warn(message: string, remedy: string): Promise<void> {
    const { journal } = this.#work;
    const database = this.#name;
    await journal.event(message, { database, level: "warning" });
    await journal.findings([
      {
        ...{ database, type: "ServerParametersValidation", state: "Warning" },
        ...{ object: database, objectType: "Database", message, remedy },
      },
    ]);
  }
}

export const fencedDatabase = (
  { name, targetName }: Pick<DatabaseRecord, "name" | "targetName">,
  side: FenceSide,
): FencedDatabase => ({ side, database: side === "source" ? name : targetName });

/**
 * Takes a fence down, also when all else is being canceled; a server that is away is tried again for a minute, and
 * whoever holds a lock on its settings is waited for no longer: nobody could tell why it cannot be written. A database
 * that was dropped has taken its settings with it.
 *
 * @throws RefusedError saying how to do it by hand; its cause is UnreachableError when the server stays away
 */
export async function removeFence(
  endpoint: Endpoint,
  fenced: FencedDatabase,
  record: FenceRecord,
  retryForMs = usualRetryMs,
): Promise<void> {
  const { side, database } = fenced;
  const deadline = Date.now() + retryForMs;
  for (;;) {
    try {
      await removeOnce(endpoint, fenced, record, Math.max(deadline - Date.now(), leastLockWaitMs));
      return;
    } catch (cause) {
      if (isMissingDatabase(cause)) return;
      if (isConnectionLoss(cause) && Date.now() < deadline) {
        await sleep(retryEveryMs);
        continue;
      }
      throw new RefusedError(`${database} stays read only on the ${side} ${endpoint.host}: ${messageOf(cause)}`, {
        remedy: `on the ${side}: ${fenceRemedy(database, record)}`,
        cause,
      });
    }
  }
}

async function removeOnce(
  endpoint: Endpoint,
  fenced: FencedDatabase,
  record: FenceRecord,
  lockWaitMs: number,
): Promise<void> {
  const { database } = fenced;
  const session = await connect(endpoint, { database, purpose: "take down fence", bookkeeping: true });
  try {
    await session.query(`SET lock_timeout = ${lockWaitMs}`);
    await takeDownFence(session, fenced, record);
  } finally {
    await session.end();
  }
}
