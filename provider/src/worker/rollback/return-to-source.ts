import type { Client } from "pg";
import { pointSlot, rollbackNames } from "../../cdc/model/names.js";
import { rollbackRoles } from "../../cdc/model/stream-roles.js";
import { dropsOfExpressions } from "../../cutover/computed-columns.js";
import { cutOver, type PointToCompare } from "../../cutover/cut-over.js";
import { RefusedError } from "../../errors.js";
import { withTwoSessions } from "../../postgres/connection/two-sessions.js";
import { connect } from "../../postgres/connection/connect.js";
import { qualify } from "../../postgres/identifiers.js";
import { limitLockWaits } from "../../postgres/locks/lock-waits.js";
import { refreshMaterializedViews } from "../../schema/restore/materialized-views.js";
import { readRestoreContext } from "../../schema/restore/restore-context.js";
import type { DatabaseRecord } from "../../store/records.js";
import type { ComparisonView, TableComparison } from "../../verify/compare-tables.js";
import { contentDiffers } from "../../verify/content-differs.js";
import { openToCompare } from "../../verify/open-to-compare.js";
import { type DatabaseFence, fencedDatabase, removeFence } from "../cleanup/database-fence.js";
import { clearRollback } from "../cleanup/rollback-objects.js";
import { compareInCutover, comparisonStep, inWords, planComparison } from "../comparison/compare-database.js";
import { recordingProgress } from "../comparison/comparison-progress.js";
import { reportFindings } from "../context/report-findings.js";
import { retryDatabaseStep } from "../context/retry.js";
import type { Work } from "../context/work.js";
import { blockerReporter } from "../monitoring/blocker-finding.js";
import { queueReporter } from "../monitoring/queued-snapshot.js";
import { objectsNotReplicated } from "./objects-not-replicated.js";
import { publicationsOf, replicatedNames } from "./open-rollback.js";
import { sequencesOf } from "./return-sequences.js";
import type { RollbackStream } from "./rollback-stream.js";
import { type RollbackPlan, requireSameNames } from "./rollback-tables.js";

const { publisher, subscriber } = rollbackRoles;

/** What takes part in a return. The fence is that of the target. */
export interface Return {
  readonly work: Work;
  readonly record: DatabaseRecord;
  readonly stream: RollbackStream;
  readonly fence: DatabaseFence;
}

/**
 * Applies all changes of the target to the source, sets its sequences, and compares both. It is a cutover with the servers
 * exchanged.
 *
 * @throws ContentDiffersError; RefusedError while the stream is stopped
 */
export async function cutBack({ work, record, stream, fence }: Return): Promise<void> {
  const { target, signal, journal, spec } = work;
  const { name, targetName } = record;
  const names = rollbackNames(spec, name);
  const publications = publicationsOf(names);
  await withRollbackSessions(work, record, async (targetSession, sourceSession) => {
    const hasSequence = await sequencesOf(sourceSession, spec);
    await reportFindings(work, name, await objectsNotReplicated(targetSession, publications));
    const follower = await stream.requireFollower(sourceSession);
    await cutOver({
      source: target,
      database: targetName,
      slot: pointSlot(names),
      plugin: "pgoutput",
      follower,
      signal,
      publisher,
      sourceSession: targetSession,
      targetSession: sourceSession,
      onWaiting: blockerReporter(work, name, publisher),
      onQueued: queueReporter(work, name),
      hasSequence,
      sequenceMargin: 0,
      onSequences: (sequences) => journal.sequences(name, "source", sequences),
      putUpFence: spec.fence === "readOnly" ? () => fence.putUp() : undefined,
      onEscapedChanges: (changes) => fence.reportEscapedChanges(changes),
      requireSchema: async () => {
        const { rollbackTables = {} } = record.deferredPlan as RollbackPlan;
        await requireSameNames(name, rollbackTables, targetSession, sourceSession);
        const statements = await dropsOfExpressions(targetSession, sourceSession, publications);
        if (statements.length > 0) refuseComputed(name, statements);
      },
      refreshMaterializedViews: () => refreshViews({ work, record }, targetSession, sourceSession),
      compare: (point) => compareForReturn(work, record, point),
      onStep: (step, seconds) => journal.cutoverStep(name, `return: ${step}`, seconds),
    });
  });
}

/** Completes a return after its LSN was reached. Idempotent: a successor may repeat it. */
export async function finishReturn(work: Work, record: DatabaseRecord): Promise<void> {
  const { source, journal } = work;
  const { name, fences } = record;
  await retryDatabaseStep(work, name, async () => {
    // A single attempt, because retryDatabaseStep repeats it.
    if (fences.source) await removeFence(source, fencedDatabase(record, "source"), fences.source, 0);
    await journal.fence(name, "source", null);
    await clearRollback(work, record);
  });
  const message = "returned to the source, which has all writes of the target";
  await journal.database(name, { phase: "done", state: "Canceled", message });
  await journal.event(message, { database: name });
}

/** Opens a session on the target and one on the source, and ends them after the function. */
export function withRollbackSessions(
  { spec, source, target }: Work,
  { name, targetName }: DatabaseRecord,
  run: (target: Client, source: Client) => Promise<void>,
): Promise<void> {
  const purpose = `${spec.migrationName} rollback`;
  return withTwoSessions(
    () => connect(target, { database: targetName, purpose }),
    () => connect(source, { database: name, purpose }),
    run,
  );
}

async function refreshViews(
  { work, record }: Pick<Return, "work" | "record">,
  target: Client,
  source: Client,
): Promise<void> {
  const { materializedViews, sourceSearchPath } = record.deferredPlan as RollbackPlan;
  const context = await readRestoreContext(source, { sourceSearchPath });
  const findings = await refreshMaterializedViews(target, source, materializedViews, context);
  await reportFindings(work, record.name, findings);
}

/** Compares the source, on which nothing is written, with the target at the LSN of the return. */
async function compareForReturn(
  work: Work,
  { name, targetName }: DatabaseRecord,
  { lsn, snapshotId, ...when }: PointToCompare,
): Promise<string> {
  const { spec, source, target, journal, tableSlots } = work;
  if (spec.verification === "none") return comparisonStep([]);
  const purpose = `${spec.migrationName} compare`;
  const onTarget = { endpoint: target, database: targetName, purpose, snapshotId };
  const onSource = { endpoint: source, database: name, purpose };
  const openTarget = async (view: ComparisonView) => limitLockWaits(await openToCompare(onTarget, view));
  const openSource = async (view: ComparisonView) => limitLockWaits(await openToCompare(onSource, view));
  const session = await openSource("present");
  const replicated = await replicatedNames(session, spec).finally(() => session.end());
  const { tables, searchPath } = await planComparison(work, openTarget, true);
  const results = await recordingProgress(journal, name, (onProgress) =>
    compareInCutover(spec, {
      openSource: openTarget,
      openTarget: openSource,
      underSnapshots: ["source"],
      searchPath,
      jobs: tableSlots.limit(),
      onProgress,
      ...when,
      sideNames: { source: publisher, target: subscriber },
      tables: tables.filter(({ table }) => replicated.has(qualify(table.schema, table.name))),
    }),
  );
  const seen = results.map(seenFromSource);
  await journal.comparisons(name, seen, { occasion: "return", lsn });
  const difference = contentDiffers(name, seen);
  if (difference) throw difference;
  await journal.event(`before the return: ${inWords(results)}, all equal`, { database: name });
  return comparisonStep(results);
}

/**
 * Schema changes of the target are not replicated. The source computed these columns itself, and the stream no longer has the
 * target's values.
 */
function refuseComputed(database: string, statements: readonly string[]): never {
  throw new RefusedError(
    `${database} cannot be returned: columns are generated on the source, but were altered on the target, which now stores values in them`,
    {
      remedy: `on the source, in ${database}: ${statements.join("; ")}; then copy the values of these columns from the target and return again, or set rollback to drop`,
      code: "PGM-503",
    },
  );
}

/** Exchanges the sides of a result: the comparison ran from target to source, and users know them by their roles in the migration. */
const seenFromSource = (one: TableComparison): TableComparison => ({
  ...one,
  sourceRows: one.targetRows,
  targetRows: one.sourceRows,
  firstDifferences: one.firstDifferences.map(({ key, kind }) => ({
    key,
    kind: kind === "different" ? kind : kind === "missing" ? "unexpected" : "missing",
  })),
});
