import { formatLsn } from "../../postgres/lsn.js";
import type { Client } from "pg";
import { holdApplySessions } from "../../cdc/target/apply-session-progress.js";
import { takeOverProgress } from "../../cdc/target/progress.js";
import { applyingPurpose } from "../../cdc/target/target-session.js";
import { applicationNameOf } from "../../postgres/connection/connect.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { shownWorker } from "../../store/lease.js";
import { deleteLoan, lendStream, type StreamLoanRecord } from "../../store/streams/lent-streams.js";
import { helperName } from "../context/session-owner.js";
import { applyGeneration } from "../context/apply-generation.js";
import type { Followers } from "../followers/followers.js";
import type { StreamRecord } from "../followers/stream-record.js";

/**
 * Lends the stream of one database to the worker of another pool process, and takes it back. Only one of both applies changes: each
 * raises the term of the progress row, after which transactions with an older term fail.
 */
export class StreamLoan {
  readonly #record: StreamRecord;
  readonly #followers: () => Followers;
  #term = 0;
  #borrower: string | undefined;

  constructor(record: StreamRecord, followers: () => Followers) {
    this.#record = record;
    this.#followers = followers;
  }

  /** {@link applyGeneration} of this worker's next follower. */
  get generation(): number {
    return applyGeneration(this.#record.work.generation, this.#term);
  }

  /** Name of the worker that applies the stream. */
  get borrower(): string | undefined {
    return this.#borrower;
  }

  /** Does nothing if the follower fails meanwhile, because its error comes first. */
  async lend(request: StreamLoanRecord): Promise<void> {
    const { work, database, skipped } = this.#record;
    const follower = this.#followers().current;
    await follower.stop();
    const { state, appliedLsn } = follower.status();
    if (state !== "stopped") return;
    this.#term++;
    // If the answer to the statement is lost, the stream counts as lent, and is taken back.
    this.#borrower = request.borrower;
    const startLsn = appliedLsn === undefined ? null : formatLsn(appliedLsn);
    const terms = { term: this.#term, skip: skipped, startLsn };
    if (await lendStream(work.journal.lease, request, terms))
      return this.#record.report(`the stream is lent to worker ${shownWorker(request.borrower)} at ${startLsn ?? "-"}`);
    // The worker may have received the term, if the first answer to the statement was lost.
    this.#term++;
    this.#borrower = undefined;
    this.#followers().start();
    await deleteLoan(work.journal.lease, database);
  }

  /** Does nothing if the stream is not lent. May be repeated after an error. */
  async takeBack(why: string): Promise<void> {
    const borrower = await this.#end();
    if (borrower === undefined) return;
    // First: a report that fails must not leave the stream without a follower.
    this.#followers().start();
    await this.#reportReturn(borrower, why);
  }

  /** Takes the stream back, and does not start it. */
  async close(): Promise<void> {
    const borrower = await this.#end();
    if (borrower !== undefined) await this.#reportReturn(borrower, "the stream ends here");
  }

  #reportReturn(borrower: string, why: string): Promise<void> {
    return this.#record.report(`the stream is taken back from worker ${shownWorker(borrower)}: ${why}`);
  }

  /** Returns the worker that had the stream. */
  async #end(): Promise<string | undefined> {
    const borrower = this.#borrower;
    if (borrower === undefined) return undefined;
    const { work, database, targetName } = this.#record;
    const { migrationName } = work.spec;
    await deleteLoan(work.journal.lease, database);
    this.#term++;
    await withSession(work.target, { database: targetName, purpose: `${migrationName} take over` }, async (session) => {
      await this.#terminateAppliers(session);
      await takeOverProgress(session, migrationName, this.generation);
      await holdApplySessions(session, migrationName, this.generation);
    });
    this.#borrower = undefined;
    return borrower;
  }

  /** A stopped worker would keep the locks of its transaction. The raised term fences sessions that cannot be terminated. */
  async #terminateAppliers(session: Client): Promise<void> {
    try {
      await session.query(
        `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
          WHERE datname = current_database() AND application_name = $1`,
        [applicationNameOf(applyingPurpose, helperName(this.#record.work.owner!))],
      );
    } catch (error) {
      if (sqlStateOf(error) !== sqlStates.insufficientPrivilege) throw error;
    }
  }
}
