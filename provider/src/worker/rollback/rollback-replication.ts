import { PeriodicTask } from "../../async/periodic-task.js";
import { rollbackNames } from "../../cdc/model/names.js";
import { messageOf } from "../../errors.js";
import { log } from "../../log.js";
import type { DatabaseRecord } from "../../store/records.js";
import { DatabaseFence } from "../cleanup/database-fence.js";
import { clearRollback } from "../cleanup/rollback-objects.js";
import { retryDatabaseStep } from "../context/retry.js";
import type { Work } from "../context/work.js";
import { RetainedWalMonitor } from "../monitoring/retained-wal-monitor.js";
import { carryBack } from "./return-sequences.js";
import { cutBack, finishReturn, withRollbackSessions } from "./return-to-source.js";
import { RollbackStream } from "./rollback-stream.js";

const carrySequencesEveryMs = 10_000;
/** How far the source's sequences are kept ahead of the target's, which continue to advance. */
const sequenceMargin = 1000;

/**
 * Keeps the source of a database up to date after its cutover, until the user returns to the source or drops the rollback.
 * It uses the same engine, with the servers' roles exchanged. It starts after the stream from the source ended and its slot
 * was dropped, so that no change is replicated in a circle.
 */
export class RollbackReplication {
  readonly #work: Work;
  readonly #record: DatabaseRecord;
  readonly #stream: RollbackStream;
  /** Keeps the source's sequences ahead until a return sets them to the target's values. */
  readonly #sequenceKeeper: PeriodicTask;
  readonly #walMonitor: RetainedWalMonitor;
  /** Fence of the target during a return. */
  readonly #fence: DatabaseFence;

  constructor(work: Work, record: DatabaseRecord) {
    this.#work = work;
    this.#record = record;
    this.#fence = new DatabaseFence(work, record, "target");
    this.#stream = new RollbackStream(work, record);
    const warn = (error: unknown): void => this.#warnOfSequences(error);
    this.#sequenceKeeper = new PeriodicTask({
      everyMs: carrySequencesEveryMs,
      run: () => this.#carrySequencesAhead().catch(warn),
      onFailure: warn,
    });
    this.#walMonitor = new RetainedWalMonitor({
      server: work.target,
      side: "target",
      database: record.name,
      slotDatabase: record.targetName,
      slot: rollbackNames(work.spec, record.name).slot,
      journal: work.journal,
      spec: () => work.spec,
      warnOnlyRemedy:
        "rollbackReplication in dbDetails shows why the source is behind; set rollback to drop, which frees the disk of the target, or to return",
    });
  }

  /** Rejects with an error that ends the worker. Never resolves. */
  get failure(): Promise<never> {
    return this.#stream.failure;
  }

  /** Removes the fence that an earlier worker raised for a return, if the user no longer requests the return. */
  takeDownFence(): Promise<void> {
    return this.#fence.takeDown();
  }

  /** Ends the rollback replication. The source stays as it is. */
  async drop(): Promise<void> {
    await this.close();
    await retryDatabaseStep(this.#work, this.#record.name, () => clearRollback(this.#work, this.#record));
    await this.#work.journal.database(this.#record.name, { phase: "done", state: "Succeeded", message: null });
  }

  /**
   * Returns to the source: applies all changes of the target, compares, and ends the rollback replication. Retries after a
   * connection loss. After a failure this is closed, and another instance may continue.
   *
   * @throws ContentDiffersError; RefusedError while the rollback replication is paused
   */
  async returnToSource(): Promise<void> {
    const work = this.#work;
    const record = this.#record;
    const { name } = record;
    await this.#stream.startReturn();
    await this.#sequenceKeeper.close();
    try {
      const parts = { work, record, stream: this.#stream, fence: this.#fence };
      await this.#fence.takeDownOnFailure(() => retryDatabaseStep(work, name, () => cutBack(parts)));
    } catch (error) {
      await this.close();
      this.#stream.reportPause(`the return failed: ${messageOf(error)}`);
      throw error;
    }
    // From here on applications may write on the source. Another run of the earlier steps could overwrite that.
    await work.journal.database(name, { phase: "returned", state: "InProgress", message: "cleaning up" });
    await this.close();
    await finishReturn(work, record);
  }

  async close(): Promise<void> {
    await this.#stream.close();
    await this.#sequenceKeeper.close();
    await this.#walMonitor.close();
  }

  /** An application that starts on the source must not get sequence values that the target used. */
  async #carrySequencesAhead(): Promise<void> {
    await withRollbackSessions(this.#work, this.#record, async (target, source) => {
      await this.#stream.stopForTriggers(source);
      await carryBack(target, source, this.#work.spec, sequenceMargin);
    });
  }

  /** Only logged: the stream reports an unreachable server, and the return carries the sequences again. */
  #warnOfSequences(error: unknown): void {
    log.warn(`${this.#record.name}: cannot carry sequences back to the source: ${messageOf(error)}`);
  }
}
