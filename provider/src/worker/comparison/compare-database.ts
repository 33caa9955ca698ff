import type { TableToCopy } from "../../copy/tables-to-copy.js";
import type { Client } from "pg";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { ConcurrentChangeError } from "../../errors.js";
import { qualify } from "../../postgres/identifiers.js";
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
import { contentDiffers } from "../../verify/content-differs.js";
import { openToCompare, type PlaceToCompare } from "../../verify/open-to-compare.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { recordingProgress } from "./comparison-progress.js";
import { selectedTables } from "../context/selected-tables.js";
import type { Work } from "../context/work.js";

export interface ComparisonOfDatabase {
  readonly database: string;
  /** The moment of the source that the target has to show. */
  readonly snapshotId: string;
  readonly signal: AbortSignal;
  /** In a cutover: what is copied once and not followed is left out, as the findings have said, and content has a budget. */
  readonly inCutover: boolean;
  /** {@link TablesComparison.targetRests} */
  readonly targetRests?: Promise<void>;
}

/**
 * Compares the rows of every table, as `verification` wants it, and writes the result down.
 *
 * @throws ContentDiffersError naming tables, numbers and keys
 */
export async function compareDatabase(
  work: Work,
  comparison: ComparisonOfDatabase,
): Promise<readonly TableComparison[]> {
  const { spec, source, target, journal } = work;
  const { database, snapshotId, signal, inCutover, targetRests } = comparison;
  if (spec.verification === "none") return [];
  const purpose = `${spec.migrationName} compare`;
  const open = async (place: Omit<PlaceToCompare, "purpose">, view: ComparisonView): Promise<Client> => {
    const session = await openToCompare({ ...place, purpose }, view);
    return inCutover ? limitLockWaits(session) : session;
  };
  const openSource = (view: ComparisonView) => open({ endpoint: source, database, snapshotId }, view);
  const tables: Omit<TablesComparison, "mode"> = {
    openSource,
    openTarget: (view) => open({ endpoint: target, database: targetDatabase(spec, database) }, view),
    ...(await planComparison(work, openSource, inCutover)),
    underSnapshots: ["source"],
    jobs: work.tableSlots.limit(),
    targetRests,
    signal,
  };
  const mode = spec.verification;
  const results = await recordingProgress(journal, database, (onProgress) =>
    inCutover ? compareInCutover(spec, { ...tables, onProgress }) : compareTables({ ...tables, mode, onProgress }),
  );
  await journal.comparisons(database, results);
  const difference = contentDiffers(
    database,
    results.filter(({ replaced }) => !replaced),
  );
  if (difference) throw difference;
  const overtaken = results.filter(({ replaced }) => replaced);
  if (overtaken.length > 0) throw concurrentChangeError(database, overtaken);
  await journal.event(`${inWords(results)}, all equal`, { database });
  return results;
}

/** That they were truncated or rewritten between the moment to compare and their reading. */
export function concurrentChangeError(database: string, tables: readonly TableComparison[]): ConcurrentChangeError {
  const names = tables.slice(0, mostNamed).map(({ schema, table }) => qualify(schema, table));
  const more = tables.length > mostNamed ? ` and ${tables.length - mostNamed} more` : "";
  return new ConcurrentChangeError(
    `${database}: ${names.join(", ")}${more} could not be compared: truncated or rewritten meanwhile`,
    {
      remedy: "compare again, at a moment when nothing truncates or rewrites it",
    },
  );
}

/** The cutover's step, as its timeline has it: with what was compared how, where not all was by content. */
export function comparisonStep(results: readonly TableComparison[]): string {
  const counted = results.filter(({ by }) => by === "counts").length;
  return counted === 0 ? "compare" : `compare (${results.length - counted} by content, ${counted} by counts)`;
}

const mostNamed = 20;

/** What was compared how, and which tables were only counted. */
export function inWords(results: readonly TableComparison[]): string {
  const counted = results.filter(({ by }) => by === "counts");
  if (counted.length === 0) return `${results.length} tables compared`;
  if (counted.length === results.length) return `${results.length} tables compared by counts`;
  const names = counted.slice(0, mostNamed).map(({ schema, table }) => qualify(schema, table));
  const more = counted.length > mostNamed ? ` and ${counted.length - mostNamed} more` : "";
  return `${results.length - counted.length} tables compared by content, ${counted.length} by counts (${names.join(", ")}${more})`;
}

/** Content as far as `cutoverVerificationBudget` goes, and counts for the rest; counts where only these are wanted. */
export async function compareInCutover(
  { verification, cutoverVerificationBudget }: MigrationSpec,
  tables: Omit<TablesComparison, "mode" | "budget">,
): Promise<TableComparison[]> {
  if (verification === "counts") return compareTables({ ...tables, mode: "counts" });
  return compareWithinBudget(tables, cutoverVerificationBudget);
}

/** Compares large objects, of which no stream tells. @throws ContentDiffersError */
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

/**
 * Compares the schemas once everything has been restored, `without` what the filter or the restore has left out and said
 * so ({@link compareSchema}). What is missing without having been found before is an error;
 * what is there in another form is told.
 *
 * @throws ContentDiffersError naming what is missing
 */
export async function compareSchemas(
  { journal }: Work,
  database: string,
  source: Client,
  target: Client,
  without: ReadonlySet<string>,
): Promise<void> {
  const differences = await compareSchema(source, target, { without });
  const missing = differences.filter((one) => one.source === undefined);
  await journal.findings(differences.filter((one) => one.source !== undefined).map((one) => otherForm(database, one)));
  const difference = contentDiffers(database, [], missing);
  if (difference) throw difference;
  await journal.event("the schema compared, nothing is missing", { database });
}

/** Names what was dropped on the source while it was followed: on the target somebody may have come to use it. */
export async function nameDropped(
  { journal }: Work,
  database: string,
  before: Definitions,
  source: Client,
  target: Client,
): Promise<void> {
  const dropped = droppedSince(before, await readDefinitions(source), await readDefinitions(target));
  await journal.findings(dropped.map((one) => stillThere(database, one)));
}

/** Names what foreign servers and the like are reached by, where that differs: by names alone, since it may be secret. */
export async function nameForeignOptions(
  { journal }: Work,
  database: string,
  source: Client,
  target: Client,
): Promise<void> {
  const differences = await compareForeignOptions(source, target);
  await journal.findings(differences.map((one) => otherOptions(database, one)));
}

const otherOptions = (database: string, { object, options }: ForeignDifference): Finding => ({
  database,
  type: "SchemaValidation",
  state: "Warning",
  object,
  objectType: "Database",
  message: `${object} has other options on the target than on the source: ${options.join(", ")}`,
  remedy: `on the target, unless it is meant so: ALTER ${object} OPTIONS, with the source's values`,
});

const stillThere = (database: string, { key, drop }: Redefined): Finding => ({
  database,
  type: "SchemaValidation",
  state: "Warning",
  object: key,
  objectType: "Database",
  message: `${key} was dropped on the source while it was followed, and is still on the target`,
  remedy: `on the target, unless it is needed there: ${drop}`,
});

const otherForm = (database: string, { kind, name, source, target }: SchemaDifference): Finding => ({
  database,
  type: "SchemaValidation",
  state: "Warning",
  object: `${kind} ${name}`,
  objectType: "Database",
  message: `${kind} ${name} is ${target ?? ""} on the target, ${source ?? ""} on the source`,
  remedy: "look whether the difference matters; ALTER it on the target where it does",
});

/** Which tables of the source, seen through the sessions that are opened, and under which search_path. */
export async function planComparison(
  { spec }: Pick<Work, "spec">,
  openSource: (view: ComparisonView) => Promise<Client>,
  followedOnly: boolean,
): Promise<{ tables: TableToCopy[]; searchPath: string }> {
  const session = await openSource("rows");
  try {
    const searchPath = await readSearchPath(session);
    const all = await selectedTables(session, spec);
    const tables = followedOnly ? all.filter(({ table }) => !table.unlogged && !table.extensionConfiguration) : all;
    return { tables, searchPath };
  } finally {
    await session.end();
  }
}
