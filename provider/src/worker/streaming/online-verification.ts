import { changeCaptureNames, pointSlot } from "../../cdc/model/names.js";
import type { TableToCopy } from "../../copy/tables-to-copy.js";
import { TakenOverError, messageOf } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { qualify } from "../../postgres/identifiers.js";
import { maxTablesShown, type OnlineVerification } from "../../status.js";
import { targetDatabase } from "../../inputs/target-database.js";
import type { ComparisonView, TableComparison } from "../../verify/compare-tables.js";
import { contentDiffers } from "../../verify/content-differs.js";
import { openToCompare } from "../../verify/open-to-compare.js";
import { concurrentChangeError, planComparison } from "../comparison/compare-database.js";
import { compareWithHelpers } from "../comparison/compare-together.js";
import { recordingProgress } from "../comparison/comparison-progress.js";
import type { LiveStream } from "./live-stream.js";
import { delay } from "../../async/delay.js";
import { type RetryPolicy, retry } from "../context/retry.js";
import { alignSnapshots, type AlignedSnapshots } from "../comparison/aligned-snapshots.js";
import { queueReporter } from "../monitoring/queued-snapshot.js";
import type { Work } from "../context/work.js";

/** How many attempts are made if tables are replaced or the schema changes meanwhile. */
const maxRounds = 5;
/** Pause before the second attempt. Each later pause is twice as long. */
const firstPauseMs = 1000;

export interface VerificationOfDatabase {
  readonly database: string;
  readonly stream: LiveStream;
  /** The value of `verifyNow`, or `beforeCutover`. */
  readonly requestedBy: string;
  /** The value of `verifyNow` that a comparison before the cutover also answers. */
  readonly answers?: string;
  readonly signal: AbortSignal;
}

/** The result of one comparison. */
interface Found {
  readonly lsn: string;
  readonly heldSeconds: number;
  readonly results: readonly TableComparison[];
}

/**
 * Compares every row of a database's replicated tables at one LSN while applications write, and records the result. Neither a
 * difference nor a table that cannot be compared fails the migration.
 *
 * @throws TakenOverError, and the reason of the work's aborted signal
 */
export async function verifyOnline(work: Work, verification: VerificationOfDatabase): Promise<OnlineVerification> {
  const { database, requestedBy, answers } = verification;
  const { journal } = work;
  const begun = { requestedBy, ...(answers !== undefined && { answers }), startedOn: new Date().toISOString() };
  await journal.verification(database, { ...begun, state: "running" });
  const result = { ...begun, ...(await outcome(work, verification)), endedOn: new Date().toISOString() };
  await journal.verification(database, result);
  const level = result.state === "equal" ? "info" : "warning";
  await journal.event(`verification (${requestedBy}): ${sentence(result)}`, { database, level });
  return result;
}

/** The result in words, with the differences. */
export function sentence({ state, lsn, tablesCompared, message }: OnlineVerification): string {
  if (state === "equal") return `${tablesCompared ?? 0} tables compared at ${lsn ?? ""}, all equal`;
  return message ?? state;
}

async function outcome(
  work: Work,
  verification: VerificationOfDatabase,
): Promise<Omit<OnlineVerification, "requestedBy" | "answers" | "startedOn">> {
  try {
    const { lsn, heldSeconds, results } = await compare(work, verification);
    const overtaken = results.filter(({ replaced }) => replaced);
    const compared = results.filter(({ replaced }) => !replaced);
    await work.journal.comparisons(verification.database, compared, { occasion: "verification", lsn });
    const different = results.filter(({ equal, replaced }) => !equal && !replaced);
    const counts = { lsn, heldSeconds, tablesCompared: compared.length, tablesDifferent: different.length };
    const difference = contentDiffers(verification.database, different);
    if (!difference && overtaken.length > 0) throw concurrentChangeError(verification.database, overtaken);
    if (!difference) return { state: "equal", ...counts };
    const differences = different.slice(0, maxTablesShown).map(({ schema, table, ...rest }) => ({
      table: qualify(schema, table),
      sourceRows: rest.sourceRows,
      targetRows: rest.targetRows,
      firstDifferences: rest.firstDifferences,
    }));
    return { state: "different", ...counts, differences, message: difference.message };
  } catch (error) {
    if (work.signal.aborted || error instanceof TakenOverError) throw error;
    return { state: "failed", message: messageOf(error) };
  }
}

/** Tables that were replaced while they were read are compared again, at another LSN. */
async function compare(work: Work, verification: VerificationOfDatabase): Promise<Found> {
  let found: Found | undefined;
  const { database, stream, requestedBy, signal } = verification;
  const warn = (text: string): Promise<void> =>
    work.journal.event(`verification (${requestedBy}): ${text}`, { database, level: "warning" });
  const again = async (round: number, why: string): Promise<void> => {
    const pauseMs = firstPauseMs * 2 ** (round - 1);
    await warn(`${why}; compared again in ${pauseMs / 1000} s`);
    await delay(pauseMs, signal);
  };
  const patience: RetryPolicy = {
    ...{ seconds: work.spec.reconnectFor, signal },
    isRetryable: (error) => !stream.hasFailed && isConnectionLoss(error),
    onLost: (reason, retryInMs) => warn(`${reason}; compared again in ${retryInMs / 1000} s`),
    failsAfterGoodRun: true,
  };
  for (let round = 1; ; round++) {
    try {
      const replaced = found?.results.filter((result) => result.replaced);
      const next = await retry(patience, () => compareOnce(work, verification, replaced));
      found = found ? { ...next, results: merge(found.results, next.results) } : next;
      const overtaken = found.results.filter((result) => result.replaced);
      if (round === maxRounds || overtaken.length === 0) return found;
      await again(round, messageOf(concurrentChangeError(database, overtaken)));
    } catch (error) {
      // A schema change may have ended this attempt. The worker applies it before the next one.
      const isLast = round === maxRounds || error instanceof TakenOverError || signal.aborted;
      if (isLast) throw error;
      await again(round, messageOf(error));
    }
  }
}

const merge = (all: readonly TableComparison[], repeated: readonly TableComparison[]): TableComparison[] =>
  all.map((one) => repeated.find(({ schema, table }) => schema === one.schema && table === one.table) ?? one);

async function compareOnce(
  work: Work,
  { database, stream, signal }: VerificationOfDatabase,
  only: readonly TableComparison[] | undefined,
): Promise<Found> {
  const { spec, source, target } = work;
  const slot = pointSlot(changeCaptureNames(spec, database));
  const onTarget = { endpoint: source, database, slot, plugin: stream.following.plugin };
  const onSource = { endpoint: target, database: targetDatabase(spec, database) };
  const moment = await stream.exclusively((follower) =>
    alignSnapshots({ source: onTarget, target: onSource, follower, signal, onQueued: queueReporter(work, database) }),
  );
  try {
    const results = await compareAt(work, { database, stream, moment, signal, only });
    return { lsn: moment.lsn, heldSeconds: moment.heldSeconds, results };
  } finally {
    await moment.release();
  }
}

async function compareAt(
  work: Work,
  at: {
    readonly database: string;
    readonly stream: LiveStream;
    readonly moment: AlignedSnapshots;
    readonly signal: AbortSignal;
    readonly only: readonly TableComparison[] | undefined;
  },
): Promise<TableComparison[]> {
  const { spec, source, target } = work;
  const { database, stream, moment, only } = at;
  const purpose = `${spec.migrationName} verify`;
  const onTarget = targetDatabase(spec, database);
  const openSource = (view: ComparisonView) =>
    openToCompare({ endpoint: source, database, purpose, snapshotId: moment.source.id }, view);
  const { tables, searchPath } = await planComparison(work, openSource, true);
  const { followed, joining } = stream.following;
  const isThere = ({ table }: TableToCopy): boolean => {
    const isFollowed = followed === undefined || String(table.oid) in followed;
    return isFollowed && !Object.values(joining ?? {}).includes(table.oid);
  };
  const isWanted = ({ table: { schema, name } }: TableToCopy): boolean =>
    only?.some((one) => one.schema === schema && one.table === name) ?? true;
  const snapshots = { snapshotId: moment.source.id, targetSnapshotId: moment.target.id };
  return recordingProgress(work.journal, database, (onProgress) =>
    compareWithHelpers(
      work,
      { database, ...snapshots, occasion: "verification" },
      {
        openSource,
        openTarget: (view) =>
          openToCompare({ endpoint: target, database: onTarget, purpose, snapshotId: moment.target.id }, view),
        underSnapshots: ["source", "target"],
        yieldOn: { source, database },
        tables: tables.filter((table) => isThere(table) && isWanted(table)),
        searchPath,
        mode: "content",
        jobs: work.tableSlots.limit(),
        onProgress,
        signal: AbortSignal.any([at.signal, moment.source.lost, moment.target.lost]),
      },
    ),
  );
}
