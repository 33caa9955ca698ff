import { setTimeout as sleep } from "node:timers/promises";
import {
  extendRecord,
  fenceRemedy,
  lookBehindFence,
  putUpFence,
  takeDownFence,
  type FenceRecord,
} from "../cutover/fence.js";
import { watched } from "../cdc/watched-session.js";
import { Refused, messageOf } from "../errors.js";
import { isConnectionLoss } from "../postgres/connection-loss.js";
import { connect, type Endpoint } from "../postgres/connect.js";
import { limitLockWaits } from "../postgres/lock-waits.js";
import type { Work } from "./work.js";

const usualRetryMs = 60_000;
const retryEveryMs = 2000;
const leastLockWaitMs = 5000;

/**
 * The fence around one database of the source. What it covers is on record before it is put up and until it is taken
 * down again, so that after the death of a worker its successor, an update or the deletion can restore what was.
 */
export class SourceFence {
  readonly #work: Work;
  readonly #database: string;
  #record: FenceRecord | undefined;

  /** @param record what an earlier worker has put on record */
  constructor(work: Work, database: string, record: FenceRecord | undefined) {
    this.#work = work;
    this.#database = database;
    this.#record = record;
  }

  /** Also completes a fence that an earlier worker had begun. @throws Refused where the role may not */
  async putUp(): Promise<void> {
    const { source, wish, journal } = this.#work;
    const purpose = `${wish.migrationName} fence`;
    const session = await watched(source, this.#database, await connect(source, { database: this.#database, purpose }));
    try {
      await limitLockWaits(session);
      const now = await lookBehindFence(session);
      this.#record = this.#record ? extendRecord(this.#record, now) : now;
      await journal.database(this.#database, { fence: this.#record });
      await putUpFence(session, this.#database, this.#record);
      await journal.event("the source is read only for every role; its sessions were ended", {
        database: this.#database,
      });
    } finally {
      await session.end();
    }
  }

  /** Restores what was before; does nothing where no fence is on record. @throws Refused saying how to do it by hand */
  async takeDown(): Promise<void> {
    if (!this.#record) return;
    const { source, journal } = this.#work;
    await removeFence(source, this.#database, this.#record);
    this.#record = undefined;
    await journal.database(this.#database, { fence: null });
    await journal.event("the source may be written again", { database: this.#database });
  }
}

/**
 * Takes a fence down, also when all else is being canceled; a source that is away is tried again for a minute, and whoever
 * holds a lock on its settings is waited for no longer: nobody could tell why the source cannot be written.
 *
 * @throws Refused saying how to do it by hand; its cause is Unreachable when the source stays away
 */
export async function removeFence(
  source: Endpoint,
  database: string,
  record: FenceRecord,
  retryForMs = usualRetryMs,
): Promise<void> {
  const deadline = Date.now() + retryForMs;
  for (;;) {
    try {
      await removeOnce(source, database, record, Math.max(deadline - Date.now(), leastLockWaitMs));
      return;
    } catch (cause) {
      if (isConnectionLoss(cause) && Date.now() < deadline) {
        await sleep(retryEveryMs);
        continue;
      }
      throw new Refused(`${database} stays read only on the source ${source.host}: ${messageOf(cause)}`, {
        remedy: `on the source: ${fenceRemedy(database, record)}`,
        cause,
      });
    }
  }
}

async function removeOnce(source: Endpoint, database: string, record: FenceRecord, lockWaitMs: number): Promise<void> {
  const connecting = connect(source, { database, purpose: "take down fence", bookkeeping: true });
  const session = await watched(source, database, await connecting);
  try {
    await session.query(`SET lock_timeout = ${lockWaitMs}`);
    await takeDownFence(session, database, record);
  } finally {
    await session.end();
  }
}
