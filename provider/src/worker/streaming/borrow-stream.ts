import { delay } from "../../async/delay.js";
import { PeriodicTask } from "../../async/periodic-task.js";
import { rejectOnAbort } from "../../async/reject-on-abort.js";
import { Follower } from "../../cdc/follower.js";
import { TakenOverError, messageOf } from "../../errors.js";
import { log } from "../../log.js";
import { tagSessions } from "../../postgres/connection/connect.js";
import { formatLsn } from "../../postgres/lsn.js";
import { Journal } from "../../store/journal.js";
import { Membership } from "../../store/membership.js";
import { readDatabases, readMigration } from "../../store/records.js";
import {
  askForStream,
  reportToLender,
  returnStream,
  type StreamLoanAnswer,
  withdrawRequest,
} from "../../store/streams/lent-streams.js";
import { helperName } from "../context/session-owner.js";
import type { WorkerJob } from "../context/worker-job.js";
import { applyGeneration } from "../context/apply-generation.js";
import { schemaErrorTable } from "../followers/schema-error.js";
import type { StreamState } from "../followers/stream-state.js";
import { streamOptions } from "./stream-options.js";
import { StreamReports } from "./stream-reports.js";

const reportMs = 1000;
const askMs = 500;
const askForMs = 20_000;
/** The leader takes the stream back earlier if this worker is silent. */
const reconnectForSeconds = 30;

const nothingYet = { pendingTransactions: 0, lagBytes: 0, appliedLsn: null };

/**
 * Applies one stream of a migration that another worker leads, until the leader takes it back or the signal aborts.
 *
 * @param pool the process that started this worker
 * @returns whether the leader lent a stream
 * @throws the error with which the stream ended; the leader retries
 */
export async function borrowStream(job: WorkerJob, pool: string, stop: AbortSignal): Promise<boolean> {
  let membership: Membership;
  try {
    membership = await Membership.join(job, job.migrationName);
  } catch (error) {
    if (error instanceof TakenOverError) return false;
    throw error;
  }
  try {
    const database = await askForStream(membership, pool);
    const lent = database === undefined ? undefined : await untilLent(membership, database, stop);
    if (database === undefined || lent === undefined) return false;
    await applyLent(job, membership, { database, lent }, stop);
    return true;
  } finally {
    await membership.leave();
  }
}

async function untilLent(
  membership: Membership,
  database: string,
  stop: AbortSignal,
): Promise<StreamLoanAnswer | undefined> {
  const until = Date.now() + askForMs;
  while (!stop.aborted && Date.now() < until) {
    const answer = await reportToLender(membership, database, nothingYet);
    if (answer?.state !== "asked") return answer;
    await delay(askMs, stop);
  }
  await withdrawRequest(membership, database);
  return undefined;
}

interface Loan {
  readonly database: string;
  readonly lent: StreamLoanAnswer;
}

async function applyLent(job: WorkerJob, membership: Membership, loan: Loan, stop: AbortSignal): Promise<void> {
  const { database } = loan;
  log.info(`applies the changes of ${database} as worker ${membership.worker}`);
  try {
    await follow(job, membership, loan, stop);
    await returnStream(membership, database, undefined);
  } catch (error) {
    if (error instanceof TakenOverError) {
      log.info(messageOf(error));
      return;
    }
    // The leader meets the same error, and applies the schema change. A refused login, for example, concerns only this worker.
    const isFailure = schemaErrorTable(error) === undefined;
    await returnStream(membership, database, isFailure ? messageOf(error) : undefined);
    if (isFailure) throw error;
  }
}

/** Resolves when the signal aborts. @throws TakenOverError when the leader has taken the stream back, and the stream's error */
async function follow(
  { source, target, migrationName }: WorkerJob,
  membership: Membership,
  { database, lent }: Loan,
  stop: AbortSignal,
): Promise<void> {
  const { spec, startedAt } = (await readMigration(membership.store, migrationName))!;
  const { generation } = membership;
  // The leader terminates the sessions that have this name.
  tagSessions(helperName({ migration: migrationName, startedAt, generation }));
  const record = (await readDatabases(membership.records, migrationName, database))[0]!;
  const reports = new StreamReports({ journal: new Journal(membership) }, database);
  const over = new AbortController();
  const signal = AbortSignal.any([stop, over.signal]);
  let applySessions = lent.applySessions ?? undefined;
  const follower = new Follower({
    ...streamOptions({ spec, source, target, signal }, database, () => record.deferredPlan as StreamState),
    ...{ reconnectForSeconds, applySessions: () => applySessions },
    generation: applyGeneration(generation, lent.term!),
    skip: lent.skip!,
    onEvent: reports.onEvent,
    onProgress: reports.onProgress,
  });
  const report = async (): Promise<void> => {
    const { pendingTransactions, lagBytes = 0, appliedLsn } = follower.status();
    const status = {
      pendingTransactions,
      lagBytes,
      appliedLsn: appliedLsn === undefined ? null : formatLsn(appliedLsn),
    };
    const answer = await reportToLender(membership, database, status);
    if (!answer) over.abort(new TakenOverError(`the stream of ${database} was taken back`));
    else applySessions = answer.applySessions ?? undefined;
  };
  const reporting = new PeriodicTask({ everyMs: reportMs, run: report, onFailure: (error) => over.abort(error) });
  try {
    await Promise.race([follower.finished, rejectOnAbort(signal)]);
    over.signal.throwIfAborted();
  } catch (error) {
    if (!stop.aborted) throw error;
  } finally {
    await reporting.close();
    await follower.stop();
    await reports.end();
  }
}
