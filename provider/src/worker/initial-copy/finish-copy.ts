import { initProgress } from "../../cdc/target/progress.js";
import { carrySequences } from "../../copy/sequences.js";
import { qualify } from "../../postgres/identifiers.js";
import { carryConnectionLimit } from "../../schema/database/database.js";
import { listTables, withPartitionedTables } from "../../postgres/tables.js";
import { withoutWaitingEntries } from "../../schema/plan/deferred-constraints.js";
import type { RestorePlan } from "../../schema/plan/restore-plan.js";
import { relationKey } from "../../schema/plan/selection.js";
import { refreshMaterializedViews } from "../../schema/restore/materialized-views.js";
import { restoreEntries, restoreEntry } from "../../schema/restore/restore.js";
import { validateConstraint } from "../../schema/restore/validate-constraint.js";
import type { Entry } from "../../schema/sql/toc-entries.js";
import type { RestoreFinding } from "../../schema/sql/restore-findings.js";
import { compareSchemas } from "../comparison/compare-database.js";
import { reportFindings } from "../context/report-findings.js";
import { runInParallel } from "../context/run-in-parallel.js";
import { analyzeDatabase } from "./analyze.js";
import type { CopyContext } from "./copy-context.js";
import { reportLateWrites } from "./late-writes.js";

/**
 * Restores the schema entries that follow the rows. An online migration then starts its progress row.
 *
 * @param joining tables that join the stream later, qualified and quoted. Constraints and indexes that need their rows
 *   are restored after the last of them.
 */
export async function finishCopy(context: CopyContext, joining: readonly string[]): Promise<void> {
  const { work, database, source, target, restore, selection, slot } = context;
  const plan = joining.length === 0 ? context.plan : await planWithout(context, joining);
  const { journal, spec, generation } = work;
  await journal.database(database, { message: "foreign keys, triggers and privileges" });
  await buildLateIndexes(context, plan);
  await restoreAll(context, plan.after);
  await validateConstraints(context, plan);
  if (!spec.schemaOnly) await deriveFromRows(context);
  if (slot) return initProgress(target, spec.migrationName, generation, slot);
  await restoreAll(context, plan.handover);
  if (!spec.dataOnly) await carryConnectionLimit(source, target);
  await compareSchemas(work, { database, source, target, without: new Set([...selection.cut, ...restore.missing]) });
  await reportLateWrites(context);
}

async function planWithout({ plan, target }: CopyContext, joining: readonly string[]): Promise<RestorePlan> {
  const incomplete = withPartitionedTables(await listTables(target), joining);
  return withoutWaitingEntries(plan, ({ schema, name }) => incomplete.has(qualify(schema, name)));
}

async function buildLateIndexes(context: CopyContext, plan: RestorePlan): Promise<void> {
  const { work, database, restore, signal } = context;
  await runInParallel({
    work,
    database,
    purpose: "index",
    groups: plan.deferredBuilds.map((build) => [build]),
    signal,
    run: async (target, { entry }) => report(context, await restoreEntry(target, entry, restore)),
  });
}

/** Validations of the same table would wait for each other, so they run one after another. */
async function validateConstraints(context: CopyContext, plan: RestorePlan): Promise<void> {
  const { work, database, restore, signal } = context;
  await runInParallel({
    work,
    database,
    purpose: "validate",
    groups: byTable(plan.validations),
    signal,
    run: async (target, validation) => report(context, await validateConstraint(target, validation, restore)),
  });
}

/** Sets sequences, refreshes materialized views and gathers statistics. */
async function deriveFromRows(context: CopyContext): Promise<void> {
  const { work, database, source, target, selection, plan, restore, signal } = context;
  const sequences = await carrySequences(source, target, {
    only: ({ schema, name }) => !selection.cutSequences.has(relationKey(schema, name)),
  });
  await work.journal.sequences(database, "target", sequences);
  await work.journal.database(database, { message: "materialized views" });
  await report(context, await refreshMaterializedViews(source, target, plan.materializedViews, restore));
  await work.journal.database(database, { message: "statistics" });
  const searchPath = restore.sourceSearchPath ?? "";
  await report(context, await analyzeDatabase(target, { work, database, searchPath, signal }));
}

async function restoreAll(context: CopyContext, entries: readonly Entry[]): Promise<void> {
  await report(context, await restoreEntries(context.target, entries, context.restore));
}

const report = ({ work, database }: CopyContext, findings: readonly RestoreFinding[]): Promise<void> =>
  reportFindings(work, database, findings);

function byTable(validations: RestorePlan["validations"]): RestorePlan["validations"][number][][] {
  const groups = new Map<string, RestorePlan["validations"][number][]>();
  for (const validation of validations) {
    const key = qualify(validation.table.schema, validation.table.name);
    const group = groups.get(key);
    if (group) group.push(validation);
    else groups.set(key, [validation]);
  }
  return [...groups.values()];
}
