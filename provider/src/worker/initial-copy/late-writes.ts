import type { Client } from "pg";
import { delay } from "../../async/delay.js";
import { ContentDiffersError } from "../../errors.js";
import { committedSince } from "../../postgres/writes/committed-since.js";
import { serverVersion } from "../../postgres/server-version.js";
import {
  describeWrites,
  readTableWrites,
  writtenBetween,
  type WritesByTable,
  type WrittenTable,
} from "../../postgres/writes/table-writes.js";
import {
  hasUnreportedWrites,
  idleReportSeconds,
  isAnyInTransactionSince,
  readClock,
} from "../../postgres/writes/unreported-writes.js";
import { describeSessions, writingSessions } from "../../postgres/writes/writing-sessions.js";
import { isCutRelation } from "../../schema/plan/selection.js";
import { enumerate } from "../../units/enumerate.js";
import type { CopyContext } from "./copy-context.js";
import type { WriteBaseline } from "./take-snapshot.js";

const code = "PGM-508";
/** Before 15, statistics pass a collector, which is about a second behind. */
const collectorDelayMs = 1000;
const pollMs = 250;
const maxNamed = 20;

/**
 * Reports what was written to the source after the snapshot of an offline copy, which the target lacks. Checked at the end of
 * the copy.
 *
 * @throws ContentDiffersError with `offlineWrites: "fail"`; the next attempt copies the database from the beginning
 */
export async function reportLateWrites(context: CopyContext): Promise<void> {
  const { work, database, source, written } = context;
  if (!written) return;
  // In this order: a transaction that commits in between is in both lists instead of in neither.
  const open = await openTransactions(source);
  const writes = [...(await committedWrites(context, written)), ...open];
  if (writes.length === 0) return work.journal.replaceFindings(database, code, []);
  const message = `${database} was written on the source after the snapshot, and the target lacks these changes: ${writes.join("; ")}`;
  await (work.spec.offlineWrites === "fail" ? fail(context, message) : warn(context, message));
}

async function warn({ work: { journal }, database }: CopyContext, message: string): Promise<void> {
  const remedy =
    'run pulumi destroy, stop the applications or set fence to "readOnly", then migrate again with overwriteDbsInTarget: true';
  await journal.event(message, { database, level: "warning" });
  await journal.replaceFindings(database, code, [
    {
      ...{ database, type: "SchemaValidation", state: "Warning", code, object: database, objectType: "Database" },
      ...{ message, remedy },
    },
  ]);
}

async function fail({ work: { journal }, database }: CopyContext, message: string): Promise<never> {
  // The next attempt must not resume this copy.
  await journal.database(database, { phase: "queued" });
  throw new ContentDiffersError(message, {
    code,
    remedy: 'stop the applications or set fence to "readOnly", then run pulumi up, which copies the database again',
  });
}

async function committedWrites(
  context: CopyContext,
  { txidSnapshot, tables, takenAt }: WriteBaseline,
): Promise<string[]> {
  const { work, database, source } = context;
  const committed = await committedSince(source, txidSnapshot);
  await work.journal.event(`${committed} transactions were committed on the source after the snapshot`, { database });
  if (committed === 0) return [];
  const obstacle = await statisticsObstacle(source);
  if (obstacle !== undefined) return [`${committed} transactions in unknown tables, because ${obstacle}`];
  const checkedAt = await readClock(source);
  const late = await writtenTables(context, tables);
  if (late.length > 0) return [enumerate(describeWrites(late), maxNamed)];
  if (!(await isAnyInTransactionSince(source, { from: takenAt, to: checkedAt }))) return [];
  return [
    `${committed} transactions in unknown tables, because a session in a transaction has not reported its writes`,
  ];
}

/** Waits until the statistics contain what was committed, at most {@link idleReportSeconds}; a second if tables are known. */
async function writtenTables(
  { source, selection, signal }: CopyContext,
  before: WritesByTable,
): Promise<readonly WrittenTable[]> {
  const hasCollector = (await serverVersion(source)) < 150000;
  for (let waitedMs = 0; ; waitedMs += pollMs) {
    const written = writtenBetween(before, await readTableWrites(source));
    const late = written.filter((one) => !isCutRelation(selection, one));
    const longestMs = hasCollector || late.length > 0 ? collectorDelayMs : idleReportSeconds * 1000;
    if (waitedMs >= longestMs || !(hasCollector || (await hasUnreportedWrites(source)))) return late;
    await delay(pollMs, signal);
    signal.throwIfAborted();
  }
}

/** Why the statistics do not show which tables were written. */
async function statisticsObstacle(source: Client): Promise<string | undefined> {
  const { rows } = await source.query<{ standby: boolean; counts: string }>(
    "SELECT pg_is_in_recovery() AS standby, current_setting('track_counts') AS counts",
  );
  const { standby, counts } = rows[0]!;
  if (standby) return "the source is a standby";
  return counts === "off" ? "track_counts is off" : undefined;
}

/** Changes of transactions that are still open are lost when they commit later. */
async function openTransactions(source: Client): Promise<string[]> {
  const sessions = describeSessions(await writingSessions(source));
  const { rows: prepared } = await source.query<{ gid: string }>(
    "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared",
  );
  return [
    ...(sessions.length === 0 ? [] : [`transactions that have written are still open: ${enumerate(sessions)}`]),
    ...(prepared.length === 0 ? [] : [`prepared transactions: ${enumerate(prepared.map(({ gid }) => gid))}`]),
  ];
}
