import type { TableToCopy } from "../../copy/tables-to-copy.js";
import type { Client } from "pg";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { ConcurrentChangeError } from "../../errors.js";
import { qualify } from "../../postgres/identifiers.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { enumerate } from "../../units/enumerate.js";
import { isLockTimeout, limitLockWaits } from "../../postgres/locks/lock-waits.js";
import { compareLargeObjects } from "../../verify/compare-large-objects.js";
import { compareCompletely, type CompleteComparison, type SchemaDifference } from "../../verify/compare-schema.js";
import {
  compareTables,
  type ComparisonView,
  type TableComparison,
  type TablesComparison,
} from "../../verify/compare-tables.js";
import { compareWithinBudget } from "../../verify/compare-within-budget.js";
import type { Definitions } from "../../schema/catalogue/definitions.js";
import { isOptional } from "../../schema/catalogue/kinds.js";
import { readSearchPath } from "../../schema/restore/restore-context.js";
import type { ComparisonMoment } from "../../store/journal.js";
import { contentDiffers } from "../../verify/content-differs.js";
import { openToCompare, type PlaceToCompare } from "../../verify/open-to-compare.js";
import { targetDatabase } from "../../inputs/target-database.js";
import type { ComparisonTasks } from "../../store/copy-tasks/comparison-tasks.js";
import type { DatabaseComparison } from "../../store/copy-tasks/shared-comparison.js";
import { ContentBudget } from "../../verify/content-budget.js";
import { compareTogether, compareWithHelpers, helpComparing } from "./compare-together.js";
import { purposeOfHelper } from "./helper-watch.js";
import { requireSnapshot } from "./in-snapshot.js";
import { recordingProgress } from "./comparison-progress.js";
import { comparisonPrevented, schemaFindings } from "./schema-findings.js";
import { selectedTables } from "../context/selected-tables.js";
import type { Work } from "../context/work.js";

export interface ComparisonOfDatabase {
  readonly database: string;
  /** The snapshot of the source that the target must equal. */
  readonly snapshotId: string;
  readonly signal: AbortSignal;
  /** When the comparison runs. In a cutover, its time is limited, and tables that are copied but not replicated are skipped. */
  readonly moment: ComparisonMoment;
  /** Tables that are not compared, qualified and quoted. */
  readonly without?: ReadonlySet<string>;
  /** {@link TablesComparison.targetRests} */
  readonly targetRests?: Promise<void>;
  /** Whether other workers that copied the database also compare it. By default, this is decided here. */
  readonly together?: boolean | undefined;
}

/**
 * Compares the rows of every table in the mode of `verification`, and records the result.
 *
 * @throws ContentDiffersError with tables, row counts and keys
 */
export async function compareDatabase(
  work: Work,
  comparison: ComparisonOfDatabase,
): Promise<readonly TableComparison[]> {
  const { spec, journal } = work;
  const { database, moment, together } = comparison;
  if (spec.verification === "none") return [];
  const tables = await tablesOf(work, comparison);
  const mode = spec.verification;
  const results = await recordingProgress(journal, database, async (onProgress) => {
    const place = { database, snapshotId: comparison.snapshotId, occasion: moment.occasion };
    if (moment.occasion === "cutover")
      return compareInCutover(spec, { ...tables, onProgress }, (one) => compareWithHelpers(work, place, one));
    const compare = together ? compareTogether : compareAlone;
    return compare(work, place, { ...tables, mode, onProgress });
  });
  await journal.comparisons(database, results, moment);
  const difference = contentDiffers(
    database,
    results.filter(({ replaced }) => !replaced),
  );
  if (difference) throw difference;
  const replaced = results.filter((one) => one.replaced);
  if (replaced.length > 0) throw concurrentChangeError(database, replaced);
  await journal.event(`${inWords(results)}, all equal`, { database });
  return results;
}

const compareAlone: typeof compareTogether = (_work, _place, comparison) => compareTables(comparison);

/** Compares tables for the leader of a comparison until it is over. */
export async function helpComparingDatabase(
  work: Work,
  shared: DatabaseComparison,
  tasks: ComparisonTasks,
): Promise<void> {
  const { source, spec } = work;
  const { database, mode, occasion, txidSnapshot, budgetSeconds } = shared;
  const plan = async (signal: AbortSignal, targetRests: Promise<number>): Promise<TablesComparison> => {
    const purpose = purposeOfHelper(tasks.right.worker, spec.migrationName);
    const all = await tablesOf(work, {
      ...shared,
      moment: { occasion },
      purpose,
      signal,
      targetRests: targetRests.then(() => undefined),
    });
    await requireSnapshot(all.openSource, txidSnapshot);
    const budget = budgetSeconds === undefined ? undefined : new ContentBudget(budgetSeconds, targetRests);
    return { ...all, mode, budget, yieldOn: occasion === "verification" ? { source, database } : undefined };
  };
  await helpComparing(tasks, plan, work.signal);
}

type PlaceOfTables = Omit<ComparisonOfDatabase, "together" | "moment"> & {
  readonly moment: Pick<ComparisonMoment, "occasion">;
  readonly targetSnapshotId?: string | undefined;
  readonly purpose?: string;
};

/** The tables to compare, and how to open sessions for them. */
async function tablesOf(work: Work, comparison: PlaceOfTables): Promise<Omit<TablesComparison, "mode">> {
  const { spec, source, target } = work;
  const { database, snapshotId, targetSnapshotId, signal, moment, without, targetRests } = comparison;
  const inCutover = moment.occasion === "cutover";
  const { purpose = `${spec.migrationName} compare` } = comparison;
  const open = async (place: Omit<PlaceToCompare, "purpose">, view: ComparisonView): Promise<Client> => {
    const session = await openToCompare({ ...place, purpose }, view);
    return inCutover ? limitLockWaits(session) : session;
  };
  const openSource = (view: ComparisonView) => open({ endpoint: source, database, snapshotId }, view);
  const planned = await planComparison(work, openSource, moment.occasion !== "copy");
  const onTarget = {
    ...{ endpoint: target, database: targetDatabase(spec, database) },
    ...(targetSnapshotId === undefined ? {} : { snapshotId: targetSnapshotId }),
  };
  return {
    openSource,
    openTarget: (view) => open(onTarget, view),
    ...planned,
    tables: planned.tables.filter(({ table }) => !without?.has(qualify(table.schema, table.name))),
    underSnapshots: targetSnapshotId === undefined ? ["source"] : ["source", "target"],
    jobs: work.tableSlots.limit(),
    targetRests,
    signal,
  };
}

/** Names tables that were truncated or rewritten before they were read, or that an application needed meanwhile. */
export function concurrentChangeError(database: string, tables: readonly TableComparison[]): ConcurrentChangeError {
  return new ConcurrentChangeError(
    `${database}: cannot compare ${namesOf(tables)}: truncated, rewritten or locked by an application during the comparison`,
    { remedy: "compare again while no application truncates, rewrites or locks these tables" },
  );
}

/** Name of the step in the cutover's timeline, with the numbers of tables if some were only counted. */
export function comparisonStep(results: readonly TableComparison[]): string {
  const counted = results.filter(({ by }) => by === "counts").length;
  return counted === 0 ? "compare" : `compare (${results.length - counted} by content, ${counted} by counts)`;
}

const maxNamed = 20;

const namesOf = (tables: readonly TableComparison[]): string =>
  enumerate(
    tables.map(({ schema, table }) => qualify(schema, table)),
    maxNamed,
  );

/** Summarizes a comparison, and names the tables that were only counted. */
export function inWords(results: readonly TableComparison[]): string {
  const counted = results.filter(({ by }) => by === "counts");
  if (counted.length === 0) return `${results.length} tables compared`;
  if (counted.length === results.length) return `${results.length} tables compared by counts`;
  return `${results.length - counted.length} tables compared by content, ${counted.length} by counts (${namesOf(counted)})`;
}

/** Compares content within `cutoverVerificationBudget`, and counts for the remaining tables. */
export async function compareInCutover(
  { verification, cutoverVerificationBudget }: MigrationSpec,
  tables: Omit<TablesComparison, "mode" | "budget">,
  compare: typeof compareTables = compareTables,
): Promise<TableComparison[]> {
  if (verification === "counts") return compare({ ...tables, mode: "counts" });
  return compareWithinBudget(tables, cutoverVerificationBudget, compare);
}

/** Compares large objects, which logical replication omits. @throws ContentDiffersError */
export async function compareLargeObjectsOf(
  { spec, journal }: Work,
  database: string,
  source: Client,
  target: Client,
): Promise<void> {
  if (spec.verification === "none") return;
  const result = await compareLargeObjects(source, target);
  if (!result) return;
  const difference = contentDiffers(database, [result]);
  if (difference) throw difference;
  await journal.event(`${result.sourceRows} large objects compared, all equal`, { database });
}

/** A database with a session on each server. */
interface DatabaseSessions {
  readonly database: string;
  readonly source: Client;
  readonly target: Client;
}

export interface ComparisonOfSchemas extends DatabaseSessions, CompleteComparison {
  /** Definitions of the source when the stream began. An object that was dropped since then stays on the target. */
  readonly before?: Definitions | undefined;
  /** Whether the migration keeps its own objects in a schema of the target. */
  readonly isOwnSchema?: (schema: string) => boolean;
}

/**
 * Compares the schemas after everything was restored. A missing object is an error, unless a finding already reported it
 * (`without`, keys of {@link compareSchema}). Every other difference, and every object that only the target has, becomes a finding.
 * A comparison that other sessions prevent becomes a finding, too.
 *
 * @throws ContentDiffersError with the missing objects
 */
export async function compareSchemas(
  { journal }: Work,
  { database, source, target, without, roles, before = {}, isOwnSchema }: ComparisonOfSchemas,
): Promise<void> {
  await Promise.all([limitLockWaits(source), limitLockWaits(target)]);
  const all = await compareBesideOthers(() =>
    compareCompletely(source, target, { roles, ...(without ? { without } : {}) }),
  );
  if (all instanceof Error) return journal.findings([comparisonPrevented(database, all)]);
  const differences = all.filter(({ kind, name, onlyOnTarget }) => {
    const schema = kind === "schema" ? name : onlyOnTarget?.schema;
    return !onlyOnTarget || !isOwnSchema?.(schema ?? "");
  });
  const isMissing = (one: SchemaDifference): boolean => one.source === undefined && !one.onlyOnTarget;
  const isError = (one: SchemaDifference): boolean => isMissing(one) && !isOptional(one.kind);
  await journal.findings(
    schemaFindings(
      database,
      differences.filter((one) => !isError(one)),
      before,
    ),
  );
  const difference = contentDiffers(database, [], differences.filter(isError));
  if (difference) throw difference;
  await journal.event("schema compared, no missing objects", { database });
}

const attempts = 3;

/** Returns the error if other sessions locked or dropped objects during each attempt. */
async function compareBesideOthers(compare: () => Promise<SchemaDifference[]>): Promise<SchemaDifference[] | Error> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await compare();
    } catch (error) {
      if (!(error instanceof Error) || !(isLockTimeout(error) || isDroppedMeanwhile(error))) throw error;
      if (attempt === attempts) return error;
    }
  }
}

/** PostgreSQL has no SQLSTATE of its own for an object that is dropped while it is printed. */
const isDroppedMeanwhile = (error: Error): boolean =>
  sqlStateOf(error) === sqlStates.internalError && /could not open relation|cache lookup failed/.test(error.message);

/** Reads the tables to compare, and the search_path of the source. */
export async function planComparison(
  { spec }: Pick<Work, "spec">,
  openSource: (view: ComparisonView) => Promise<Client>,
  replicatedOnly: boolean,
): Promise<{ tables: TableToCopy[]; searchPath: string }> {
  const session = await openSource("rows");
  try {
    const searchPath = await readSearchPath(session);
    const all = await selectedTables(session, spec);
    const tables = replicatedOnly ? all.filter(({ table }) => !table.unlogged && !table.extensionConfiguration) : all;
    return { tables, searchPath };
  } finally {
    await session.end();
  }
}
