import { copyLargeObjects } from "../../copy/large-objects.js";
import { openInSnapshot } from "../../copy/snapshot.js";
import type { TableToCopy } from "../../copy/tables-to-copy.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { withTwoSessions } from "../../postgres/connection/two-sessions.js";
import { largeObjectEntries } from "../../schema/plan/large-object-entries.js";
import { restoreEntries } from "../../schema/restore/restore.js";
import { compareDatabase, compareLargeObjectsOf } from "../comparison/compare-database.js";
import { reportFindings } from "../context/report-findings.js";
import { type CopyContext, connectToTarget, purposeOf } from "./copy-context.js";
import { runCopyTasks, skipTables } from "./copy-tasks.js";

/** Copies tables and large objects, compares them (offline), and builds indexes meanwhile. */
export async function copyRows(context: CopyContext, tables: readonly TableToCopy[]): Promise<void> {
  const { work, database, tasks, snapshot, restore, signal } = context;
  await work.journal.database(database, { message: "copying tables" });
  await runCopyTasks(
    {
      work,
      database,
      tasks,
      snapshotId: snapshot?.id,
      tables,
      // Each task records whether an earlier worker started it.
      context: { ...restore, resumed: false },
      signal,
      onTablesCopied: () => completeTables(context),
      onSlowedDown: (by) => void reportSlowed(context, by).catch(() => undefined),
      onFindings: (findings) => reportFindings(work, database, findings),
    },
    {
      alongside: (poolSignal) => copyAllLargeObjects(context, poolSignal),
      onTakenBack: ({ completed, queued }) =>
        work.journal.event(
          `a copy helper was lost; ${completed} of its tasks were complete, ${queued} were queued again`,
          { database, level: "warning" },
        ),
    },
  );
  for (const skipped of await tasks.skipped()) skipTables(restore, skipped);
}

/** Lost leases are detected elsewhere. */
async function reportSlowed({ work, database }: CopyContext, by: string | undefined): Promise<void> {
  const slowed = by === undefined ? "" : `, slowed down: ${by}`;
  await work.journal.database(database, { message: `copying tables${slowed}` });
  const text =
    by === undefined ? "the replicas of the source have caught up: the copy continues" : `the copy slows down: ${by}`;
  await work.journal.event(text, { database, level: by === undefined ? "info" : "warning" });
}

async function completeTables(context: CopyContext): Promise<void> {
  const { snapshot, sharing } = context;
  if (!snapshot) return;
  await sharing.update({ rowsCopied: true });
  await compareRows(context, snapshot.id);
  await sharing.update({ tablesCopied: true });
  // Not kept during index builds: a snapshot keeps the source from vacuuming, and its locks block TRUNCATE.
  await snapshot.release();
}

/** Whether the rows of a copy are compared. An online migration compares at its cutover instead. */
const isCompared = ({ migrationMode, schemaOnly }: MigrationSpec): boolean =>
  migrationMode === "Offline" && !schemaOnly;

async function compareRows(context: CopyContext, snapshotId: string): Promise<void> {
  const { work, database, signal, tasks } = context;
  if (!isCompared(work.spec)) return;
  await work.journal.database(database, { message: "comparing rows, building indexes" });
  const together = (await tasks.counts.completedByOthers()).tables > 0;
  await compareDatabase(work, { database, snapshotId, signal, moment: { occasion: "copy" }, together });
}

/** Compares before the objects get their owners, because afterwards the migration role may not be allowed to read them. */
async function copyAllLargeObjects(context: CopyContext, signal: AbortSignal): Promise<void> {
  const { work, database, snapshot, restore, sharing } = context;
  if (work.spec.schemaOnly || !snapshot) return;
  const purpose = "large objects";
  await withTwoSessions(
    () => openInSnapshot(work.source, database, snapshot.id, purposeOf(work, purpose)),
    () => connectToTarget(context, purpose),
    async (source, target) => {
      if (!sharing.areLargeObjectsCopied) {
        const { objects } = await copyLargeObjects(source, target, { signal, rate: work.copyRate });
        if (objects === 0) return;
        await compareLargeObjectsOf(work, database, source, target);
        await sharing.update({ largeObjectsCopied: true });
      }
      const entries = await largeObjectEntries(source);
      await reportFindings(work, database, await restoreEntries(target, entries, restore));
    },
  );
}
