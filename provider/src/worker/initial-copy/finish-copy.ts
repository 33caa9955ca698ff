import type { Client } from "pg";
import { dropProgress, initProgress } from "../../cdc/target/progress.js";
import { carrySequences } from "../../copy/sequences.js";
import { qualify, relationKey, type RelationName } from "../../postgres/identifiers.js";
import { carryConnectionLimit, readConnectionLimit } from "../../schema/database/database.js";
import { listTables, withPartitionedTables } from "../../postgres/tables.js";
import { type Validation, withoutWaitingEntries } from "../../schema/plan/deferred-constraints.js";
import type { RestorePlan } from "../../schema/plan/restore-plan.js";
import { handOver } from "../../schema/restore/hand-over.js";
import { refreshBeforeHandover } from "../../schema/restore/materialized-views.js";
import { restoreTogether } from "../../schema/restore/restore-batches.js";
import { restoreEntry } from "../../schema/restore/restore-entry.js";
import { restoreEntries } from "../../schema/restore/restore.js";
import { validateConstraint } from "../../schema/restore/validate-constraint.js";
import type { Entry } from "../../schema/sql/toc-entries.js";
import type { RestoreFinding } from "../../schema/sql/restore-findings.js";
import { compareSchemas } from "../comparison/compare-database.js";
import { reportFindings } from "../context/report-findings.js";
import { runInParallel } from "../context/run-in-parallel.js";
import type { Work } from "../context/work.js";
import { applyGeneration } from "../context/apply-generation.js";
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
  const refreshLater = spec.schemaOnly ? [] : await deriveFromRows(context);
  if (slot) return initProgress(target, spec.migrationName, applyGeneration(generation, 0), slot);
  const reportHere = (findings: readonly RestoreFinding[]): Promise<void> => report(context, findings);
  await handOver(target, { entries: plan.handover, refreshLater, context: restore, report: reportHere });
  const without = new Set([...selection.cut, ...restore.missing]);
  await compareSchemas(work, { database, source, target, without, roles: restore.roles });
  await reportLateWrites(context);
  const end: CopyEnd = { connectionLimit: await readConnectionLimit(source) };
  // Before the database is handed over, so that a record of an earlier phase shows that it is older than that.
  await journal.database(database, { phase: "completing", message: "cleaning up", deferredPlan: end });
  await leaveToUsers(work, target, end);
}

/** What is left to do in the phase `completing` of an offline migration. The source may be gone by then. */
export interface CopyEnd {
  readonly connectionLimit: number;
}

/** The end of the migration of one database, offline. Idempotent: a successor runs it again in the phase `completing`. */
export async function leaveToUsers({ spec }: Work, target: Client, end: CopyEnd | null): Promise<void> {
  await dropProgress(target, spec.migrationName);
  if (end && !spec.dataOnly) await carryConnectionLimit(end.connectionLimit, target);
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

/** Validations in one transaction. Their tables are small, so that the round trip takes longer than the work. */
const maxPerTransaction = 50;

/**
 * Validations of the same table would wait for each other, so they run one after another. Those of small tables share
 * transactions.
 */
async function validateConstraints(context: CopyContext, plan: RestorePlan): Promise<void> {
  const { work, database, restore, signal } = context;
  await runInParallel({
    work,
    database,
    purpose: "validate",
    groups: await transactionsByTable(context, plan.validations),
    signal,
    run: async (target, validations) => {
      const entries = validations.map(({ entry }) => entry);
      if (validations.length > 1 && (await restoreTogether(target, entries, restore))) return;
      for (const validation of validations)
        await report(context, await validateConstraint(target, validation, restore));
    },
  });
}

/** For each large table, a group of single validations. For the small tables, groups of one transaction. */
async function transactionsByTable(
  { target }: CopyContext,
  validations: readonly Validation[],
): Promise<Validation[][][]> {
  const small = await smallTables(
    target,
    validations.map(({ table }) => table),
  );
  const together = validations.filter(({ table }) => small.has(keyOf(table)));
  const groups = byTable(validations.filter(({ table }) => !small.has(keyOf(table))));
  for (let first = 0; first < together.length; first += maxPerTransaction)
    groups.push([together.slice(first, first + maxPerTransaction)]);
  return groups;
}

function byTable(validations: readonly Validation[]): Validation[][][] {
  const groups = new Map<string, Validation[][]>();
  for (const validation of validations) {
    const key = keyOf(validation.table);
    const group = groups.get(key);
    if (group) group.push([validation]);
    else groups.set(key, [[validation]]);
  }
  return [...groups.values()];
}

const smallBytes = 64 * 1024;

/** Returns the given tables that have few rows, qualified and quoted. A partitioned table has no size of its own. */
async function smallTables(target: Client, tables: readonly RelationName[]): Promise<ReadonlySet<string>> {
  if (tables.length === 0) return new Set();
  const { rows } = await target.query<RelationName>(
    `SELECT n.nspname AS schema, c.relname AS name
       FROM unnest($1::text[], $2::text[]) AS wanted (schema, name)
       JOIN pg_namespace n ON n.nspname = wanted.schema
       JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
      WHERE c.relkind = 'r' AND pg_table_size(c.oid) <= $3`,
    [tables.map(({ schema }) => schema), tables.map(({ name }) => name), smallBytes],
  );
  return new Set(rows.map(keyOf));
}

/**
 * Sets sequences, refreshes materialized views and gathers statistics.
 *
 * @returns the materialized views that are refreshed after the handover
 */
async function deriveFromRows(context: CopyContext): Promise<readonly RelationName[]> {
  const { work, database, source, target, selection, plan, restore, signal } = context;
  const sequences = await carrySequences(source, target, {
    only: (sequence) => !selection.cutSequences.has(relationKey(sequence)),
  });
  await work.journal.sequences(database, "target", sequences);
  await work.journal.database(database, { message: "materialized views" });
  const { findings, later } = await refreshBeforeHandover(source, target, plan.materializedViews, restore);
  await report(context, findings);
  await work.journal.database(database, { message: "statistics" });
  const searchPath = restore.sourceSearchPath ?? "";
  await report(context, await analyzeDatabase(target, { work, database, searchPath, signal }));
  return later;
}

async function restoreAll(context: CopyContext, entries: readonly Entry[]): Promise<void> {
  await report(context, await restoreEntries(context.target, entries, context.restore));
}

const report = ({ work, database }: CopyContext, findings: readonly RestoreFinding[]): Promise<void> =>
  reportFindings(work, database, findings);

const keyOf = ({ schema, name }: RelationName): string => qualify(schema, name);
