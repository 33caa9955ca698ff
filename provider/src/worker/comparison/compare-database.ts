import type { TableToCopy } from "../../copy/tables-to-copy.js";
import type { Client } from "pg";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { ConcurrentChangeError } from "../../errors.js";
import { qualify } from "../../postgres/identifiers.js";
import { enumerate } from "../../units/enumerate.js";
import { limitLockWaits } from "../../postgres/locks/lock-waits.js";
import { compareForeignOptions, type ForeignDifference } from "../../verify/compare-foreign-options.js";
import { compareLargeObjects } from "../../verify/compare-large-objects.js";
import { compareSchema, type SchemaDifference } from "../../verify/compare-schema.js";
import {
  compareTables,
  type ComparisonView,
  type TableComparison,
  type TablesComparison,
} from "../../verify/compare-tables.js";
import { compareWithinBudget } from "../../verify/compare-within-budget.js";
import { type Definitions, droppedSince, readDefinitions, type Redefined } from "../../schema/catalogue/definitions.js";
import { readSearchPath } from "../../schema/restore/restore-context.js";
import type { Finding } from "../../findings.js";
import type { ComparisonMoment } from "../../store/journal.js";
import { contentDiffers } from "../../verify/content-differs.js";
import { openToCompare, type PlaceToCompare } from "../../verify/open-to-compare.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { recordingProgress } from "./comparison-progress.js";
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
  const { spec, source, target, journal } = work;
  const { database, snapshotId, signal, moment, without, targetRests } = comparison;
  const inCutover = moment.occasion === "cutover";
  if (spec.verification === "none") return [];
  const purpose = `${spec.migrationName} compare`;
  const open = async (place: Omit<PlaceToCompare, "purpose">, view: ComparisonView): Promise<Client> => {
    const session = await openToCompare({ ...place, purpose }, view);
    return inCutover ? limitLockWaits(session) : session;
  };
  const openSource = (view: ComparisonView) => open({ endpoint: source, database, snapshotId }, view);
  const planned = await planComparison(work, openSource, inCutover);
  const tables: Omit<TablesComparison, "mode"> = {
    openSource,
    openTarget: (view) => open({ endpoint: target, database: targetDatabase(spec, database) }, view),
    ...planned,
    tables: planned.tables.filter(({ table }) => !without?.has(qualify(table.schema, table.name))),
    underSnapshots: ["source"],
    jobs: work.tableSlots.limit(),
    targetRests,
    signal,
  };
  const mode = spec.verification;
  const results = await recordingProgress(journal, database, (onProgress) =>
    inCutover ? compareInCutover(spec, { ...tables, onProgress }) : compareTables({ ...tables, mode, onProgress }),
  );
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
): Promise<TableComparison[]> {
  if (verification === "counts") return compareTables({ ...tables, mode: "counts" });
  return compareWithinBudget(tables, cutoverVerificationBudget);
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

/**
 * Compares the schemas after everything was restored. A missing object is an error, unless a finding already reported it
 * (`without`, keys of {@link compareSchema}). A different definition becomes a finding.
 *
 * @throws ContentDiffersError with the missing objects
 */
export async function compareSchemas(
  { journal }: Work,
  { database, source, target, without }: DatabaseSessions & { readonly without: ReadonlySet<string> },
): Promise<void> {
  const differences = await compareSchema(source, target, { without });
  const missing = differences.filter((one) => one.source === undefined);
  await journal.findings(differences.filter((one) => one.source !== undefined).map((one) => otherForm(database, one)));
  const difference = contentDiffers(database, [], missing);
  if (difference) throw difference;
  await journal.event("schema compared, no missing objects", { database });
}

/** Reports objects that were dropped on the source during the replication. They stay on the target, where they may be used. */
export async function nameDropped(
  { journal }: Work,
  { database, source, target }: DatabaseSessions,
  before: Definitions,
): Promise<void> {
  const dropped = droppedSince(before, await readDefinitions(source), await readDefinitions(target));
  await journal.findings(dropped.map((one) => stillThere(database, one)));
}

/** Reports different options of foreign servers and similar objects. Names only the options, because values may be secret. */
export async function nameForeignOptions(
  { journal }: Work,
  { database, source, target }: DatabaseSessions,
): Promise<void> {
  const differences = await compareForeignOptions(source, target);
  await journal.findings(differences.map((one) => otherOptions(database, one)));
}

const otherOptions = (database: string, { object, options }: ForeignDifference): Finding => ({
  database,
  type: "SchemaValidation",
  code: "PGM-440",
  state: "Warning",
  object,
  objectType: "Database",
  message: `${object} has other options on the target than on the source: ${options.join(", ")}`,
  remedy: `unless the difference is intended, on the target: ALTER ${object} OPTIONS, with the source's values`,
});

const stillThere = (database: string, { key, drop }: Redefined): Finding => ({
  database,
  type: "SchemaValidation",
  code: "PGM-507",
  state: "Warning",
  object: key,
  objectType: "Database",
  message: `${key} was dropped on the source during the replication, and still exists on the target`,
  remedy: `unless it is needed on the target: ${drop}`,
});

const otherForm = (database: string, { kind, name, source, target }: SchemaDifference): Finding => ({
  database,
  type: "SchemaValidation",
  code: "PGM-440",
  state: "Warning",
  object: `${kind} ${name}`,
  objectType: "Database",
  message: `${kind} ${name} is ${target ?? ""} on the target, ${source ?? ""} on the source`,
  remedy: "check whether the difference matters; if it does, ALTER the object on the target",
});

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
