import { recordsDatabase, usualMaintenanceDatabase } from "./maintenance-database.js";
import { serviceDatabases } from "./service-databases.js";

/** Databases that only their own names select: they serve the server, its tools, or this package. */
const notMatched: readonly string[] = [...serviceDatabases, usualMaintenanceDatabase, recordsDatabase];

/** What patterns read of a database. */
export interface PresentDatabase {
  readonly name: string;
  /** Whether it is a template, or allows no connections. */
  readonly isClosed: boolean;
}

interface Pattern {
  readonly text: string;
  readonly excludes: boolean;
  /** The texts between the asterisks. A name without asterisk has one. */
  readonly parts: readonly string[];
}

/** Whether an entry of `dbsToMigrate` is more than a name: it has an asterisk, an escape, or a leading `!`. */
export const isPattern = (entry: string): boolean => /^!|\*|\\[\\!]/.test(entry);

/** Whether inputs list databases by patterns whose matches are not known yet. */
export const hasOpenPatterns = (inputs: Readonly<Record<string, unknown>>): boolean =>
  inputs.dbsToMigratePatterns === undefined &&
  Array.isArray(inputs.dbsToMigrate) &&
  inputs.dbsToMigrate.some((entry) => typeof entry === "string" && isPattern(entry));

function parsePattern(text: string): Pattern {
  const excludes = text.startsWith("!");
  const parts: string[] = [];
  let part = "";
  for (const [token] of text.slice(excludes ? 1 : 0).matchAll(/\\[\\*!]|[^]/g))
    if (token === "*") {
      parts.push(part);
      part = "";
    } else part += token.length > 1 ? token[1]! : token;
  return { text, excludes, parts: [...parts, part] };
}

/**
 * Whether a glob selects a name. `*` stands for any characters, also for none. `\*`, `\!` and `\\` are the characters
 * themselves. A leading `!` is ignored.
 *
 * @example matchesPattern("app_*", "app_1") === true
 */
export const matchesPattern = (pattern: string, name: string): boolean => matches(parsePattern(pattern).parts, name);

function matches([first = "", ...rest]: readonly string[], name: string): boolean {
  const last = rest.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first)) return false;
  let from = first.length;
  for (const part of rest) {
    const at = name.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return name.length - last.length >= from && name.endsWith(last);
}

/** Whether patterns may match a database. Otherwise only its own name selects it. */
export const isMatchedByPatterns = ({ name, isClosed }: PresentDatabase): boolean =>
  !isClosed && !notMatched.includes(name);

/** The databases that a list of names, patterns and exclusions selects. */
export interface SelectedDatabases {
  /** In the order of the list, those of one pattern by name. Names without asterisk are included, whether they exist or not. */
  readonly databases: readonly string[];
  /** Patterns that match no database, without those that exclude. */
  readonly unmatched: readonly string[];
  /** Exclusions that match no database. */
  readonly unused: readonly string[];
}

/**
 * Selects databases. Exclusions restrict what patterns match, wherever they are in the list; they do not apply to names.
 *
 * @example selectDatabases(["app_*", "!app_test"], present).databases // ["app_1", "app_2"]
 */
export function selectDatabases(list: readonly string[], present: readonly PresentDatabase[]): SelectedDatabases {
  const patterns = list.map(parsePattern);
  const exclusions = patterns.filter(({ excludes }) => excludes);
  const candidates = present
    .filter(isMatchedByPatterns)
    .map(({ name }) => name)
    .sort();
  const selected = patterns
    .filter(({ excludes }) => !excludes)
    .map(({ text, parts }) => ({
      text,
      matched: parts.length === 1 ? [...parts] : candidates.filter((name) => matches(parts, name)),
      isGlob: parts.length > 1,
    }));
  const isExcluded = (name: string): boolean => exclusions.some(({ parts }) => matches(parts, name));
  const kept = selected.flatMap(({ matched, isGlob }) =>
    isGlob ? matched.filter((name) => !isExcluded(name)) : matched,
  );
  return {
    databases: [...new Set(kept)],
    unmatched: selected.filter(({ matched }) => matched.length === 0).map(({ text }) => text),
    unused: exclusions.filter(({ parts }) => !present.some(({ name }) => matches(parts, name))).map(({ text }) => text),
  };
}

/** Why a list of names, patterns and exclusions selects nothing, or contradicts itself. */
export function contradictionsOf(list: readonly string[]): string[] {
  const patterns = list.map(parsePattern);
  const names = patterns.filter(({ excludes, parts }) => !excludes && parts.length === 1).map(({ parts }) => parts[0]);
  const reasons = patterns
    .filter(({ excludes, parts }) => excludes && parts.length === 1 && names.includes(parts[0]))
    .map(({ text }) => `${text} excludes a database that the list names; remove one of the two`);
  if (list.includes("!"))
    reasons.push("! excludes nothing: give a name or a pattern after it, or write \\! for the character");
  if (list.length > 0 && patterns.every(({ excludes }) => excludes))
    reasons.push(`${list.join(", ")} only excludes: add a name or a pattern, such as "*"`);
  return reasons;
}
