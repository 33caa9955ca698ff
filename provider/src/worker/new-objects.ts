import type { Client } from "pg";
import type { Follower } from "../cdc/follow.js";
import { Refused, messageOf } from "../errors.js";
import { changeCaptureNames, pointSlot } from "../cdc/names.js";
import { createPublications } from "../cdc/publication.js";
import type { OutputPlugin } from "../cdc/slot.js";
import { openTargetSession } from "../cdc/target-session.js";
import { copyFormat } from "../copy/format.js";
import { copyTable } from "../copy/copy-table.js";
import { lockedSnapshot, openInSnapshot } from "../copy/snapshot.js";
import { comparisonSnapshot } from "../cutover/comparison-snapshot.js";
import { qualify } from "../postgres/identifiers.js";
import { isUngranted } from "../postgres/lock-waits.js";
import { serverVersion } from "../postgres/server-version.js";
import { useSearchPath } from "../postgres/search-path.js";
import { type Table, listSizedTables, listTables } from "../postgres/tables.js";
import { dumpSchema } from "../schema/dump.js";
import { inPlaceOf, type Redefined } from "../schema/definitions.js";
import { catalogueKey, type Entry, parseEntries } from "../schema/entries.js";
import type { RestoreFinding } from "../schema/findings.js";
import { readRestoreContext, type RestoreContext } from "../schema/restore-context.js";
import { withoutLentIdentities } from "../schema/lent-identities.js";
import { constraintKey } from "../schema/late-constraints.js";
import { planRestore, type RestorePlan } from "../schema/restore-plan.js";
import { restoreEntries, restoreEntry } from "../schema/restore.js";
import { hiddenTables, readSelection, selectEntries } from "../schema/selection.js";
import { splitStatements } from "../schema/statements.js";
import { validateConstraint } from "../schema/validate-constraint.js";
import { targetDatabase } from "../target-database.js";
import { reportFindings } from "./report-findings.js";
import { insertOnlyFinding } from "./insert-only.js";
import type { SourceMark } from "./source-mark.js";
import { lockOptions, markOf } from "./take-snapshot.js";
import type { Work } from "./work.js";

export interface NewObjects {
  readonly work: Work;
  readonly database: string;
  readonly source: Client;
  readonly target: Client;
  readonly sourceSearchPath: string;
  readonly plugin: OutputPlugin;
  /** Whether the target gets no foreign keys, triggers and rules before the cutover. */
  readonly keepsBackFiring: boolean;
}

/**
 * Brings tables that were made or replaced on the source while it is followed to the target. They are published, a
 * point of the source's history is taken, everything up to it is applied but these tables' changes, and they are copied
 * as they were at the point: from there on the stream has all of theirs. Begun anew after a failure, it replaces what
 * was copied.
 *
 * Tables that have outlived their shape come to it as well: without them it only passes what the stream tells of them.
 *
 * @param tables those in scope of the source, to be published
 * @param bridge starts a follower that leaves the new tables out; it is held before anything is applied
 */
export async function joinTables(
  objects: NewObjects,
  tables: readonly Table[],
  newTables: readonly Table[],
  bridge: () => Follower,
): Promise<Restored & { readonly mark: SourceMark }> {
  const { work, database } = objects;
  const follower = bridge();
  try {
    const names = changeCaptureNames(work.wish, database);
    const [published] = await Promise.all([
      createPublications(objects.source, names, tables, { keyless: work.wish.keylessTables }),
      follower.hold(),
    ]);
    const isNew = new Set(newTables.map(nameOfTable));
    const insertOnly = published.insertOnlyTables.filter(
      (table) => !table.partitioned && isNew.has(nameOfTable(table)),
    );
    if (insertOnly.length > 0) await work.journal.findings([insertOnlyFinding(database, insertOnly)]);
    const { snapshot, lsn } = await lockedSnapshot(
      () =>
        comparisonSnapshot({
          source: work.source,
          database,
          slot: pointSlot(names),
          plugin: objects.plugin,
          signal: work.signal,
        }),
      () => Promise.resolve(newTables),
      () => Promise.resolve(),
      lockOptions(work, database),
    );
    try {
      await follower.drainTo(lsn);
      await follower.stop();
      const mark = await markOf(work, database, snapshot.id);
      const restored = await restoreMissing(objects, {
        snapshot: snapshot.id,
        copy: () => copyTables(objects, newTables, snapshot.id),
      });
      return { ...restored, mark };
    } finally {
      await snapshot.release();
    }
  } finally {
    await follower.stop();
  }
}

const nameOfTable = ({ schema, name }: Table): string => qualify(schema, name);

export interface Restored {
  readonly plan: RestorePlan;
  /** What the filter leaves out by now, and what could not be restored, as findings say: of {@link compareSchemas}. */
  readonly missing: ReadonlySet<string>;
}

export interface RestoreMissing {
  /** Of the source, which the dump is to be of. */
  readonly snapshot?: string;
  /** Runs when all tables are there. */
  readonly copy?: () => Promise<void>;
  /** What the target has by the same name, and the source has changed since. */
  readonly redefined?: readonly Redefined[];
  /** Has the target come to the moment of the dump; false where it cannot, so that its rows must not be judged by it. */
  readonly catchUp?: () => Promise<boolean>;
}

/** What a column is made of: kinds of entries that need no table. A function may; it comes with the rest then. */
const groundwork: ReadonlySet<string> = new Set([
  ...["SCHEMA", "EXTENSION", "COLLATION", "TYPE", "DOMAIN", "SEQUENCE", "FUNCTION"],
]);

/**
 * Restores what has to be there before a table gets a new column, or moves to a new schema.
 *
 * @param renamedTypes qualified names of types that the target has under another name
 * @returns what the target has refused of it; the rest is there, and what needs the refused may be none of a table's
 */
export async function restoreGroundwork(
  { work, database, source, target, sourceSearchPath }: NewObjects,
  renamedTypes: ReadonlySet<string>,
): Promise<Refused | undefined> {
  const { signal } = work;
  const selection = await readSelection(source, work.wish);
  const without = await hiddenTables(source, selection);
  const there = parseEntries((await dumpSchema(work.source, database, { without, signal })).text);
  const here = parseEntries((await dumpSchema(work.target, targetDatabase(work.wish, database), { signal })).text);
  const known = new Set(here.map(nameOf));
  const { before } = planRestore(selectEntries(there, selection));
  const isRenamed = ({ type, schema, name }: Entry): boolean =>
    (type === "TYPE" || type === "DOMAIN") && renamedTypes.has(qualify(schema ?? "", name));
  const wanted = before.filter((entry) => groundwork.has(entry.type) && !known.has(nameOf(entry)) && !isRenamed(entry));
  const context = await readRestoreContext(target, { sourceSearchPath, resumed: true, signal });
  try {
    await reportFindings(work, database, await restoreEntries(target, wanted, context));
    return undefined;
  } catch (error) {
    if (!(error instanceof Refused) || isUngranted(error)) throw error;
    return error;
  }
}

const nameOf = ({ type, schema, name }: Entry): string => JSON.stringify([type, schema, name]);

const returnRuleOf = (view: Entry): string => nameOf({ ...view, type: "RULE", name: `${view.name} _RETURN` });

/**
 * Restores what a dump of the source has and one of the target lacks, or has as it was before.
 *
 * @throws Refused naming what the target cannot be given
 */
export async function restoreMissing(
  { work, database, source, target, sourceSearchPath, keepsBackFiring }: NewObjects,
  { snapshot, copy, catchUp, redefined = [] }: RestoreMissing,
): Promise<Restored> {
  const { signal } = work;
  const read = async (dump: ReturnType<typeof dumpSchema>): Promise<Entry[]> =>
    withoutLentIdentities(parseEntries((await dump).text));
  const selection = await readSelection(source, work.wish);
  const without = await hiddenTables(source, selection);
  const there = selectEntries(await read(dumpSchema(work.source, database, { snapshot, without, signal })), selection);
  const here = await read(dumpSchema(work.target, targetDatabase(work.wish, database), { signal }));
  // Both planned, since a plan gives names of its own to parts of entries: a key's index, a late check.
  const known = new Set(allEntries(planRestore(here)).map(nameOf));
  const plan = planRestore(there, { keepsBackFiring });
  let isCaughtUp = true;
  const isUnknown = (entry: Entry): boolean => !known.has(nameOf(entry));
  const attachesOld = (entry: Entry): boolean =>
    isAttachment(entry) && isUnknown(entry) && known.has(nameOf({ ...entry, type: "TABLE" }));
  const attachesAnyOld = there.some(attachesOld);
  // Rows of a table that was there before may lie beyond the bounds still.
  const isPutOff = (entry: Entry): boolean =>
    !isCaughtUp && (attachesOld(entry) || (attachesAnyOld && entry.type === "INDEX ATTACH"));
  const isMissing = (entry: Entry): boolean => isUnknown(entry) && !isPutOff(entry);
  const context = await readRestoreContext(target, { sourceSearchPath, resumed: true, signal });
  const replacements = new Map(redefined.map((one) => [one.id, one]));
  // A view that needs a key has only its columns before that; then comes a rule, which is all of it.
  const laterViews = new Map(there.filter(({ type }) => type === "VIEW").map((view) => [returnRuleOf(view), view]));
  const comesLater = new Set(there.flatMap((entry) => laterViews.get(nameOf(entry)) ?? []));
  const restore = async (entries: readonly Entry[]): Promise<void> => {
    await reportFindings(work, database, await restoreEntries(target, entries.filter(isMissing), context));
    for (const entry of entries.filter((one) => redefinable.has(one.type) && !isMissing(one))) {
      const replacement = replacements.get(catalogueKey(laterViews.get(nameOf(entry)) ?? entry));
      if (!replacement || comesLater.has(entry)) continue;
      await reportFindings(work, database, await replace(target, replacement, entry, context));
      await work.journal.event(`${replacement.key} was changed on the source, and is carried over`, { database });
    }
  };
  isCaughtUp = (await catchUp?.()) ?? true;
  await restore(plan.before.filter((entry) => !isAttachment(entry)));
  await copy?.();
  await restore(plan.builds.map(({ entry }) => entry));
  await restore(plan.lateBuilds.map(({ entry }) => entry));
  await restore(plan.after.filter(isKey));
  // With its own keys and indexes: for those of its parent that it lacks, the server makes it some by other names.
  await restore(plan.before.filter(isAttachment));
  await restore(plan.after.filter((entry) => !isKey(entry)));
  // What fires for applied changes as well by now is only enabled so behind the last of them.
  const isEnabledLater = (entry: Entry): boolean => firingTypes.has(entry.type) && !isUnknown(entry);
  await restore(plan.handover.filter(isEnabledLater).map((entry) => onlyStatements(entry, 0, 1)));
  const handover = plan.handover.map((entry) => (isEnabledLater(entry) ? onlyStatements(entry, 1) : entry));
  const unvalidated = await unvalidatedConstraints(target);
  // One that rows violate now is tried again by whoever comes next: somebody may have put them right.
  const missing = new Set(context.missing);
  const due = isCaughtUp
    ? plan.validations.filter((one) => unvalidated.has(constraintKey(one.table, one.constraint)))
    : [];
  for (const validation of due)
    await reportFindings(work, database, await validateConstraint(target, validation, context));
  for (const { type, schema, name } of allEntries(plan).filter(isMissing))
    await work.journal.event(
      `${type} ${schema === undefined ? "" : `${schema}.`}${name} of the source was carried over`,
      {
        database,
      },
    );
  return { plan: { ...plan, handover }, missing: new Set([...selection.cut, ...missing]) };
}

const isAttachment = ({ type }: Entry): boolean => type === "TABLE ATTACH";

/** Of the kinds that take over an index. */
const isKey = ({ type }: Entry): boolean => type === "CONSTRAINT";

const firingTypes = new Set(["RULE", "TRIGGER"]);

/** A trigger or rule is made by its entry's first statement, and enabled or disabled by the next one. */
const onlyStatements = (entry: Entry, from: number, to?: number): Entry => ({
  ...entry,
  sql: splitStatements(entry.sql)
    .slice(from, to)
    .map(({ text }) => `${text};`)
    .join("\n"),
});

const redefinable = new Set([
  ...["AGGREGATE", "FUNCTION", "PROCEDURE", "VIEW", "MATERIALIZED VIEW", "RULE", "TRIGGER", "POLICY"],
]);

async function replace(
  target: Client,
  redefined: Redefined,
  entry: Entry,
  context: RestoreContext,
): Promise<RestoreFinding[]> {
  const refuse = (why: string, cause?: unknown): Refused =>
    new Refused(`${redefined.key} was changed on the source while it was followed, and ${why}`, {
      remedy: `on the target, in ${context.database}: ${redefined.drop} (what depends on it is yours to look after); then cut over again, which creates it as it is on the source`,
      code: "603130",
      cause,
    });
  if (entry.type === "MATERIALIZED VIEW") throw refuse("cannot be replaced while it is there");
  try {
    return [...(await restoreEntry(target, inPlaceOf(redefined, entry), context))];
  } catch (error) {
    if (!(error instanceof Refused) || isUngranted(error)) throw error;
    throw refuse(`the target cannot be given it: ${messageOf(error)}`, error);
  }
}

const allEntries = (plan: RestorePlan): Entry[] => [
  ...plan.before,
  ...[...plan.builds, ...plan.lateBuilds].map(({ entry }) => entry),
  ...plan.after,
];

/** Added NOT VALID just now, or by a try that failed behind that. */
async function unvalidatedConstraints(target: Client): Promise<ReadonlySet<string>> {
  const { rows } = await target.query<{ schema: string; table: string; constraint: string }>(
    `SELECT n.nspname AS schema, c.relname AS table, k.conname AS constraint
       FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE NOT k.convalidated`,
  );
  return new Set(rows.map(({ schema, table, constraint }) => constraintKey({ schema, name: table }, constraint)));
}

async function copyTables(
  { work, database, sourceSearchPath, keepsBackFiring }: NewObjects,
  newTables: readonly Table[],
  snapshotId: string,
): Promise<void> {
  const session = await openTargetSession(work.target, targetDatabase(work.wish, database), {
    firesNothing: keepsBackFiring,
  });
  try {
    const twins = new Map((await listTables(session)).map((table) => [nameOfTable(table), table]));
    await useSearchPath(session, sourceSearchPath);
    const names = new Set(newTables.map(nameOfTable));
    const catalogue = await openInSnapshot(work.source, database, snapshotId, `${work.wish.migrationName} join`);
    const sized = await listSizedTables(catalogue).finally(() => catalogue.end());
    for (const table of sized.filter((one) => !one.partitioned && names.has(nameOfTable(one)))) {
      // Each in a session of its own: an error ends the transaction that sees the snapshot.
      const source = await openInSnapshot(work.source, database, snapshotId, `${work.wish.migrationName} join`);
      try {
        await useSearchPath(source, sourceSearchPath);
        const twin = twins.get(nameOfTable(table))!;
        const format = copyFormat(table, twin, await serverVersion(source), await serverVersion(session));
        await copyTable({ source, target: session, table, format, signal: work.signal });
      } finally {
        await source.end();
      }
    }
  } finally {
    await session.end();
  }
}
