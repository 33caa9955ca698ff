import type { Client } from "pg";
import { dropProgress } from "../../cdc/target/progress.js";
import { emptyUnloggedTables } from "../../copy/empty-unlogged-tables.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { qualify } from "../../postgres/identifiers.js";
import { carryConnectionLimit, readConnectionLimit } from "../../schema/database/database.js";
import { readRestoreContext, type RestoreContext } from "../../schema/restore/restore-context.js";
import { handOver } from "../../schema/restore/hand-over.js";
import { restoreEntries } from "../../schema/restore/restore.js";
import type { RestoreFinding } from "../../schema/sql/restore-findings.js";
import { validateConstraint } from "../../schema/restore/validate-constraint.js";
import { CopyTasks } from "../../store/copy-tasks/copy-tasks.js";
import { dropSourceObjects } from "../cleanup/source-objects.js";
import { compareSchemas } from "../comparison/compare-database.js";
import { reportFindings } from "../context/report-findings.js";
import type { Work } from "../context/work.js";
import type { StreamRecord } from "../followers/stream-record.js";
import type { StreamState } from "../followers/stream-state.js";
import { isKeptSchema, keptTableFindings } from "../schema-diff/kept-tables.js";
import type { PostCutoverPlan } from "../initial-copy/post-cutover-plan.js";

/**
 * Completes the target after the cutover, and removes what the migration created on the source. Idempotent: a successor runs
 * it again.
 *
 * @example
 * await finishCutover(new StreamRecord(work, "erp", following));
 */
export async function finishCutover(record: StreamRecord): Promise<void> {
  const { work, database, following: state } = record;
  const { spec, source, journal } = work;
  const startedAt = performance.now();
  const place = { database: targetDatabase(spec, database), purpose: `${spec.migrationName} finish` };
  await withSession(work.target, place, async (target) => {
    const context = await readRestoreContext(target, { sourceSearchPath: state.sourceSearchPath, resumed: true });
    const restored = { work, database, target, context };
    if (state.keptBack) await restoreFiring(restored, state.keptBack);
    const { handover: entries, refreshLater = [] } = state;
    const report = (findings: readonly RestoreFinding[]): Promise<void> => reportFindings(work, database, findings);
    const onRefreshed = (): Promise<void> => record.keep({ refreshLater: [] });
    await handOver(target, { entries, refreshLater, context, report, onRefreshed });
    await reportEmptied(work, database, target);
    await journal.findings(await keptTableFindings(database, target));
    await dropProgress(target, spec.migrationName);
    // Only now the source is opened: without it, the target gets its foreign keys, triggers and policies all the same.
    await compareWithSource({ work, database, target }, state, context);
  });
  for (const note of await dropSourceObjects(source, spec, database))
    await journal.event(note, { database, level: "warning" });
  await journal.database(database, { slot: null, publications: [] });
  await journal.cutoverStep(database, "clean up", (performance.now() - startedAt) / 1000);
}

/** Runs while the tables belong to the migration's role, before applications write. */
async function restoreFiring(
  { work, database, target, context }: { work: Work; database: string; target: Client; context: RestoreContext },
  { firing, firingValidations }: NonNullable<PostCutoverPlan["keptBack"]>,
): Promise<void> {
  await work.journal.database(database, { message: "foreign keys, triggers and rules" });
  await reportFindings(work, database, await restoreEntries(target, firing, context));
  for (const validation of firingValidations)
    await reportFindings(work, database, await validateConstraint(target, validation, context));
}

/** Neither the stream nor the comparison at the cutover includes unlogged tables. */
async function reportEmptied({ journal }: Work, database: string, target: Client): Promise<void> {
  const emptied = await new CopyTasks(journal.lease, database).withRows(await emptyUnloggedTables(target));
  await journal.findings(
    emptied.map(({ schema, name }) => ({
      database,
      type: "SchemaValidation",
      state: "Warning",
      code: "PGM-509",
      object: `${schema}.${name}`,
      objectType: "Database",
      message: `${qualify(schema, name)} is empty on the target: a crash of the target empties unlogged tables`,
      remedy: "copy its rows from the source again, or let the application fill it",
    })),
  );
}

/** Reads the source for the last time. */
async function compareWithSource(
  { work, database, target }: { work: Work; database: string; target: Client },
  state: StreamState,
  { missing, roles }: RestoreContext,
): Promise<void> {
  const place = { database, purpose: `${work.spec.migrationName} compare` };
  await withSession(work.source, place, async (source) => {
    await compareSchemas(work, {
      ...{ database, source, target, roles },
      without: new Set([...state.without, ...missing]),
      before: state.mark?.definitions,
      isOwnSchema: isKeptSchema,
    });
    await carryConnectionLimit(await readConnectionLimit(source), target);
  });
}
