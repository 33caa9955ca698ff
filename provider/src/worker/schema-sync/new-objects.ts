import type { Restored } from "../followers/stream-state.js";
import type { Client } from "pg";
import type { OutputPlugin } from "../../cdc/source/slot.js";
import { qualify } from "../../postgres/identifiers.js";
import { readTrustedOwners } from "../../postgres/trusted-owners.js";
import { type Dump, dumpSchema } from "../../schema/dump/dump.js";
import type { Redefined } from "../../schema/catalogue/definitions.js";
import { catalogueKey, type Entry, entryName, parseTocEntries } from "../../schema/sql/toc-entries.js";
import { readRestoreContext, type RestoreContext } from "../../schema/restore/restore-context.js";
import { withoutTemporaryReplicaIdentities } from "../../schema/plan/temporary-replica-identity.js";
import { listTables, type Table, withPartitionedTables } from "../../postgres/tables.js";
import { constraintKey, withoutWaitingEntries } from "../../schema/plan/deferred-constraints.js";
import { planRestore, type RestorePlan } from "../../schema/plan/restore-plan.js";
import { restoreEntries } from "../../schema/restore/restore.js";
import {
  hiddenTables,
  readSelection,
  type Selection,
  selectEntries,
  unreadableTables,
} from "../../schema/plan/selection.js";
import { splitStatements } from "../../schema/sql/statements.js";
import { validateConstraint } from "../../schema/restore/validate-constraint.js";
import { targetDatabase } from "../../inputs/target-database.js";
import type { FollowedTables } from "../schema-diff/followed-tables.js";
import { replace, replaceableOf, replaceEntry, replacementsOf } from "./replaced-objects.js";
import { shownSql } from "../../schema/sql/shown-entry.js";
import { refuseTakenObjects } from "./taken-names.js";
import { reportFindings } from "../context/report-findings.js";
import type { Work } from "../context/work.js";

export interface NewObjects {
  readonly work: Work;
  readonly database: string;
  readonly source: Client;
  readonly target: Client;
  readonly sourceSearchPath: string;
  readonly plugin: OutputPlugin;
  /** Whether foreign keys, triggers and rules are created at cutover. */
  readonly deferTriggersAndForeignKeys: boolean;
  /** Objects of the source that are not created now, because other roles have taken the names of their tables. */
  readonly leftOut: () => Selection;
  readonly keptCopies: () => FollowedTables;
  /** Objects that the source has changed under the same name, and that are replaced with the next restore. */
  readonly redefined?: readonly Redefined[];
}

export interface RestoreMissing {
  /** The snapshot of the source to dump. */
  readonly snapshot?: string | undefined;
  /** Called when the source is dumped, and the snapshot no longer needed. */
  readonly onDumped?: () => Promise<void>;
  /** Runs when all tables are created. Returns tables, qualified and quoted, that are copied later. */
  readonly copy?: () => Promise<ReadonlySet<string>>;
  /** Applies all changes up to the dump. Returns false if the target cannot; constraints must not be validated then. */
  readonly catchUp?: () => Promise<boolean>;
  /** Ends the dump of the source. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Restores the objects that a dump of the source has and a dump of the target lacks, and those that were redefined.
 *
 * @throws RefusedError naming an object that cannot be created on the target
 */
export async function restoreMissing(
  objects: NewObjects,
  { copy, catchUp, ...dumping }: RestoreMissing,
): Promise<Restored> {
  const { work, database, target, sourceSearchPath, deferTriggersAndForeignKeys, redefined = [] } = objects;
  const { selection, onSource, onTarget } = await readBoth(objects, dumping);
  // The dump does not distinguish objects of other roles from copies.
  await refuseTakenObjects(objects);
  // Both are planned, because a plan splits entries and names the parts: the index of a key, a deferred check.
  const known = new Set(allEntries(planRestore(onTarget)).map(entryName));
  const trusted = await readTrustedOwners(objects.source);
  const isTrusted = (owner: string): boolean => trusted.has(owner);
  const plan = planRestore(onSource, { deferTriggersAndForeignKeys, isTrusted });
  const context = await readRestoreContext(target, { sourceSearchPath, resumed: true, signal: work.signal });
  const isCaughtUp = (await catchUp?.()) ?? true;
  const isMissing = missingHere(onSource, known, isCaughtUp);
  const replacementOf = replacementsOf(onSource, redefined);
  const replaced = new Set<number>();
  const restoreAll = async (entries: readonly Entry[]): Promise<void> =>
    reportFindings(work, database, await restoreEntries(target, entries, context));
  // In the dump's order, because a missing object may need the new definition of another one.
  const restore = async (entries: readonly Entry[]): Promise<void> => {
    let waiting: Entry[] = [];
    for (const [at, entry] of entries.entries()) {
      const replacement = isMissing(entry) ? undefined : replacementOf(entry);
      if (isMissing(entry)) waiting.push(entry);
      if (!replacement) continue;
      await restoreAll(waiting);
      waiting = [];
      const later = replaceableOf(
        entries.slice(at + 1).filter((one) => !isMissing(one)),
        replacementOf,
      );
      const { findings, isReplaced } = await replace(target, replacement, entry, { context, later });
      await reportFindings(work, database, findings);
      if (!isReplaced) continue;
      replaced.add(entry.id);
      await work.journal.event(`${replacement.key} was changed on the source, and is replaced on the target`, {
        database,
      });
    }
    await restoreAll(waiting);
  };
  await restore(plan.before.filter((entry) => !isAttachment(entry)));
  const later = withPartitionedTables(await listTables(target), (await copy?.()) ?? []);
  const now =
    later.size === 0 ? plan : withoutWaitingEntries(plan, ({ schema, name }) => later.has(qualify(schema, name)));
  await restore(plan.builds.map(({ entry }) => entry));
  await restore(now.deferredBuilds.map(({ entry }) => entry));
  await restore(now.after.filter(isKey));
  // After its own keys and indexes: the server creates missing ones for the parent's, under other names.
  await restore(plan.before.filter(isAttachment));
  await restore(now.after.filter((entry) => !isKey(entry)));
  // An object that was dropped to replace it has lost its comment.
  const isLostComment = (entry: Entry): boolean =>
    entry.type === "COMMENT" && !isMissing(entry) && entry.dependencies.some((id) => replaced.has(id));
  await restoreAll(allEntries(now).filter(isLostComment));
  // Triggers that would fire for applied changes are enabled after the last change.
  const isEnabledLater = (entry: Entry): boolean => firingTypes.has(entry.type) && known.has(entryName(entry));
  await restore(plan.handover.filter(isEnabledLater).map((entry) => onlyStatements(entry, 0, 1)));
  const handover = plan.handover.map((entry) => (isEnabledLater(entry) ? onlyStatements(entry, 1) : entry));
  // A constraint that rows violate is validated again next time: the rows may have been corrected.
  const missing = new Set([...selection.cut, ...context.missing]);
  if (isCaughtUp) await validateMissing(objects, now, context);
  for (const entry of allEntries(now).filter(isMissing))
    await work.journal.event(`${titleOf(entry)} of the source was carried over`, { database });
  return { plan: { ...plan, handover }, missing };
}

/** The entries of these tables in a dump of the source, without keys, indexes and rows. */
export async function tableEntries(
  { work, database }: NewObjects,
  tables: readonly Pick<Table, "oid">[],
): Promise<readonly Entry[]> {
  const oids = new Set(tables.map(({ oid }) => oid));
  const entries = parseTocEntries((await dumpSchema(work.source, database, { signal: work.signal })).text);
  return entries.filter(({ type, oid }) => type === "TABLE" && oids.has(oid));
}

/**
 * The statements that create what a dump of the target lacks, and replace what was redefined. They contain no passwords.
 *
 * @param renamed the `catalogueKey`s of objects that the target has under another name
 */
export async function missingStatements(
  objects: NewObjects,
  redefined: readonly Redefined[],
  renamed: ReadonlySet<string>,
): Promise<string[]> {
  const { onSource, onTarget } = await readBoth(objects, {});
  const known = new Set(allEntries(planRestore(onTarget)).map(entryName));
  const { deferTriggersAndForeignKeys } = objects;
  const replacementOf = replacementsOf(onSource, redefined);
  return allEntries(planRestore(onSource, { deferTriggersAndForeignKeys })).flatMap((entry) => {
    if (!known.has(entryName(entry))) return renamed.has(catalogueKey(entry)) ? [] : [shownSql(entry)];
    const replacement = replacementOf(entry);
    return replacement ? [shownSql(replaceEntry(replacement, entry))] : [];
  });
}

/**
 * Dumps the target's database. The migration owns its own tables. A table that it may not read was therefore created by another
 * role. That role must not be able to stop the stream and the cutover with it.
 */
export const dumpTarget = async (
  { work, database, target }: Pick<NewObjects, "work" | "database" | "target">,
  signal: AbortSignal,
): Promise<Dump> =>
  dumpSchema(work.target, targetDatabase(work.spec, database), { without: await unreadableTables(target), signal });

/** Dumps both sides. Entries of the source that the filter excludes, or that are left out now, are omitted. */
async function readBoth(
  objects: NewObjects,
  { snapshot, onDumped, signal = objects.work.signal }: Pick<RestoreMissing, "snapshot" | "onDumped" | "signal">,
): Promise<{
  readonly selection: Selection;
  readonly onSource: readonly Entry[];
  readonly onTarget: readonly Entry[];
}> {
  const { work, database, source, leftOut } = objects;
  const read = async (dump: ReturnType<typeof dumpSchema>): Promise<Entry[]> =>
    withoutTemporaryReplicaIdentities(parseTocEntries((await dump).text));
  const selection = await readSelection(source, work.spec);
  const without = await hiddenTables(source, selection);
  const dumped = await read(dumpSchema(work.source, database, { snapshot, without, signal }));
  const onSource = selectEntries(selectEntries(dumped, selection), leftOut());
  await onDumped?.();
  const onTarget = await read(dumpTarget(objects, work.signal));
  return { selection, onSource: await withoutRenamed(objects, onSource, onTarget), onTarget };
}

/**
 * Omits tables whose copies the target has under former names, with the objects that depend on them. A new table would stay
 * empty, and the copy would look like that of a dropped table.
 */
async function withoutRenamed(
  { source, target, keptCopies }: NewObjects,
  onSource: readonly Entry[],
  onTarget: readonly Entry[],
): Promise<readonly Entry[]> {
  const copies = keptCopies();
  const known = new Set(onTarget.map(entryName));
  const present = new Set((await listTables(target)).map(({ oid }) => oid));
  const isRenamed = (entry: Entry): boolean =>
    entry.type === "TABLE" && !known.has(entryName(entry)) && present.has(copies[String(entry.oid)]!);
  const renamed = onSource.filter(isRenamed).map(({ oid }) => oid);
  if (renamed.length === 0) return onSource;
  return selectEntries(onSource, await readSelection(source, { include: {}, exclude: {} }, renamed));
}

/** Returns whether the target lacks an entry and it can be restored now. */
function missingHere(
  onSource: readonly Entry[],
  known: ReadonlySet<string>,
  isCaughtUp: boolean,
): (entry: Entry) => boolean {
  const isUnknown = (entry: Entry): boolean => !known.has(entryName(entry));
  if (isCaughtUp) return isUnknown;
  // An existing table may still have rows outside the bounds.
  const attachesOld = (entry: Entry): boolean =>
    isAttachment(entry) && isUnknown(entry) && known.has(entryName({ ...entry, type: "TABLE" }));
  const attachesAnyOld = onSource.some(attachesOld);
  const isPutOff = (entry: Entry): boolean => attachesOld(entry) || (attachesAnyOld && entry.type === "INDEX ATTACH");
  return (entry) => isUnknown(entry) && !isPutOff(entry);
}

async function validateMissing(
  { work, database, target }: NewObjects,
  { validations }: RestorePlan,
  context: RestoreContext,
): Promise<void> {
  const unvalidated = await unvalidatedConstraints(target);
  for (const validation of validations) {
    if (!unvalidated.has(constraintKey(validation.table, validation.constraint))) continue;
    await reportFindings(work, database, await validateConstraint(target, validation, context));
  }
}

const titleOf = ({ type, schema, name }: Entry): string => `${type} ${schema === undefined ? "" : `${schema}.`}${name}`;

const isAttachment = ({ type }: Entry): boolean => type === "TABLE ATTACH";

/** Whether the entry uses an index that exists already. */
const isKey = ({ type }: Entry): boolean => type === "CONSTRAINT";

const firingTypes = new Set(["RULE", "TRIGGER"]);

/** The first statement of an entry creates a trigger or rule. The next one enables or disables it. */
const onlyStatements = (entry: Entry, from: number, to?: number): Entry => ({
  ...entry,
  sql: splitStatements(entry.sql)
    .slice(from, to)
    .map(({ text }) => `${text};`)
    .join("\n"),
});

const allEntries = (plan: RestorePlan): Entry[] => [
  ...plan.before,
  ...[...plan.builds, ...plan.deferredBuilds].map(({ entry }) => entry),
  ...plan.after,
];

/** Constraints of tables and domains that were added as NOT VALID, also by an earlier attempt that failed afterwards. */
async function unvalidatedConstraints(target: Client): Promise<ReadonlySet<string>> {
  const { rows } = await target.query<{ schema: string; table: string; constraint: string }>(
    `SELECT n.nspname AS schema, coalesce(c.relname, t.typname) AS table, k.conname AS constraint
       FROM pg_constraint k LEFT JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_type t ON t.oid = k.contypid
       JOIN pg_namespace n ON n.oid = coalesce(c.relnamespace, t.typnamespace)
      WHERE NOT k.convalidated`,
  );
  return new Set(rows.map(({ schema, table, constraint }) => constraintKey({ schema, name: table }, constraint)));
}
