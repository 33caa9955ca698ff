import type { Client } from "pg";
import { RefusedError, messageOf } from "../../errors.js";
import { isLockTimeout } from "../../postgres/locks/lock-waits.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { restoredRule } from "../../schema/catalogue/change-rules.js";
import type { Redefined } from "../../schema/catalogue/definitions.js";
import { findingFor } from "../../schema/restore/adapted-entry.js";
import type { RestoreContext } from "../../schema/restore/restore-context.js";
import { restoreEntry } from "../../schema/restore/restore-entry.js";
import { hiddenValueHint } from "../../schema/sql/statements.js";
import type { RestoreFinding } from "../../schema/sql/restore-findings.js";
import { catalogueKey, type Entry, entryName } from "../../schema/sql/toc-entries.js";
import { shownSql } from "../../schema/sql/shown-entry.js";

const returnRuleOf = (view: Entry): string => entryName({ ...view, type: "RULE", name: `${view.name} _RETURN` });

/** Finds the change of the source that an entry applies. */
export function replacementsOf(
  onSource: readonly Entry[],
  redefined: readonly Redefined[],
): (entry: Entry) => Redefined | undefined {
  const replacements = new Map(redefined.map((one) => [one.id, one]));
  // A view that needs a key is dumped with its columns only, and with its definition as a rule after the key.
  const laterViews = new Map(onSource.filter(({ type }) => type === "VIEW").map((view) => [returnRuleOf(view), view]));
  const comesLater = new Set(onSource.flatMap((entry) => laterViews.get(entryName(entry)) ?? []));
  return (entry) => {
    if (!restoredRule(entry.type, "changed") || comesLater.has(entry)) return undefined;
    return replacements.get(catalogueKey(laterViews.get(entryName(entry)) ?? entry));
  };
}

const createOrReplace = /^\s*CREATE (?:OR REPLACE )?(FUNCTION|PROCEDURE|VIEW)\b/;

/** Converts a dump's entry so that it replaces the existing object. CREATE OR REPLACE RULE would keep a rule disabled. */
export function replaceEntry({ drop }: Redefined, entry: Entry): Entry {
  if (!createOrReplace.test(entry.sql)) return { ...entry, sql: `${drop};\n${entry.sql}` };
  return { ...entry, sql: entry.sql.replace(createOrReplace, "CREATE OR REPLACE $1") };
}

/** The entry of an object that has other columns or another result. @param later redefined objects that are dropped before it */
function recreateEntry(redefined: Redefined, entry: Entry, later: readonly Redefined[]): Entry {
  const drops = [redefined, ...later].reverse().map(({ drop }) => drop.replace(/^DROP [A-Z]+/, "$& IF EXISTS"));
  return { ...entry, sql: [...drops, entry.sql].join(";\n") };
}

/** The redefined objects of these entries that CREATE OR REPLACE accepts although they were dropped. */
export const replaceableOf = (
  entries: readonly Entry[],
  replacementOf: (entry: Entry) => Redefined | undefined,
): Redefined[] => entries.filter(({ sql }) => createOrReplace.test(sql)).flatMap((entry) => replacementOf(entry) ?? []);

/** "cannot drop columns from view", "cannot change return type of existing function" */
const isOtherShape = (error: RefusedError): boolean => ["42P13", "42P16"].includes(sqlStateOf(error.cause));

const isNeededByOthers = (error: RefusedError): boolean =>
  sqlStateOf(error.cause) === sqlStates.dependentObjectsStillExist;

/** Takes the other way if the target refuses the first one for this reason. */
async function orElse<Result>(
  first: () => Promise<Result>,
  isReason: (error: RefusedError) => boolean,
  other: () => Promise<Result>,
): Promise<Result> {
  try {
    return await first();
  } catch (error) {
    if (!(error instanceof RefusedError) || !isReason(error)) throw error;
    return other();
  }
}

/** @param later the redefined objects that follow. They are dropped with an object that they need, and are then created again. */
export async function replace(
  target: Client,
  redefined: Redefined,
  entry: Entry,
  { context, later }: { readonly context: RestoreContext; readonly later: readonly Redefined[] },
): Promise<{ readonly findings: readonly RestoreFinding[]; readonly isReplaced: boolean }> {
  const refuse = (why: string, cause?: unknown): RefusedError =>
    new RefusedError(`${redefined.key} was changed on the source during replication, and ${why}`, {
      remedy: `on the target, in ${context.database}: ${redefined.drop} (handle the objects that depend on it); then cut over again, which creates it as on the source`,
      code: "PGM-503",
      cause,
    });
  const rule = restoredRule(entry.type, "changed")!;
  if (rule.action === "pause") throw refuse("cannot be replaced while it exists on the target");
  const restored = async (one: Entry) => ({ findings: await restoreEntry(target, one, context), isReplaced: true });
  const recreated = (others: readonly Redefined[]) => restored(recreateEntry(redefined, entry, others));
  const recreatedAlone = () =>
    orElse(
      () => recreated([]),
      isNeededByOthers,
      () => recreated(later),
    );
  try {
    return await orElse(() => restored(replaceEntry(redefined, entry)), isOtherShape, recreatedAlone);
  } catch (error) {
    if (!(error instanceof RefusedError) || isLockTimeout(error)) throw error;
    if (rule.ifRefused === "finding") return { findings: [notReplaced(redefined, entry, error)], isReplaced: false };
    throw refuse(`could not be replaced on the target: ${messageOf(error)}`, error);
  }
}

const notReplaced = ({ key, drop }: Redefined, entry: Entry, error: RefusedError): RestoreFinding =>
  findingFor(entry, {
    code: "PGM-507",
    message: `${key} was changed on the source during replication, and the target has the former definition: ${error.message}`,
    remedy: `on the target, if it matters: ${drop}, with the objects that need it; then${hiddenValueHint(shownSql(entry))} ${shownSql(entry)}`,
    state: "Warning",
  });
