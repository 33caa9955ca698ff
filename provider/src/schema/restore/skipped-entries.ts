import pg from "pg";
import { type Entry, isProperty } from "../sql/toc-entries.js";
import type { RestoreContext, SkippedEntry } from "./restore-context.js";
import { identifierName, tokenize } from "../sql/tokenize.js";
import { relationAt } from "../sql/statements.js";

/** Kinds whose loss does not affect data or other objects. Objects that need one of them name it as the cause. */
const dispensable: ReadonlySet<string> = new Set([
  "ACCESS METHOD",
  "ACL",
  "CAST",
  "COMMENT",
  "CONVERSION",
  "DEFAULT ACL",
  "EVENT TRIGGER",
  "EXTENSION",
  "FOREIGN DATA WRAPPER",
  "OPERATOR CLASS",
  "OPERATOR FAMILY",
  "PROCEDURAL LANGUAGE",
  "PUBLICATION",
  "PUBLICATION TABLE",
  "PUBLICATION TABLES IN SCHEMA",
  "SECURITY LABEL",
  "SERVER",
  "TEXT SEARCH PARSER",
  "TEXT SEARCH TEMPLATE",
  "TRANSFORM",
  "USER MAPPING",
]);

export const isDispensable = (entry: Entry): boolean =>
  dispensable.has(entry.type) || isProperty(entry) || isShellType(entry);

/** A shell type, which was declared but never defined. No column can have it. */
const isShellType = ({ type, sql }: Entry): boolean => type === "TYPE" && tokenize(sql, 7).length === 6;

/** The reason why this entry, or an entry that it needs, was skipped. */
export function rootCause({ id, dependencies }: Entry, { skipped }: RestoreContext): string | undefined {
  const cause = [id, ...dependencies].find((needed) => skipped.has(needed));
  return cause === undefined ? undefined : skipped.get(cause)?.reason;
}

/** Undefined object, function, table, schema. */
const missingObject: ReadonlySet<string> = new Set(["42704", "42883", "42P01", "3F000"]);

export const isMissingObject = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && missingObject.has(error.code ?? "");

/**
 * The reasons of skipped entries whose objects a refused entry mentions. Objects without an entry belong to extensions:
 * if none is mentioned, all skipped extensions are possible causes.
 */
export function possibleCause(entry: Entry, error: pg.DatabaseError, { skipped }: RestoreContext): string | undefined {
  if (!isMissingObject(error) || skipped.size === 0) return undefined;
  const all = [...skipped.values()];
  const named = all.filter((one) => mentions(entry, one));
  const causes = named.length > 0 ? named : all.filter(({ type }) => type === "EXTENSION");
  return causes.length === 0 ? undefined : [...new Set(causes.map(({ reason }) => reason))].slice(0, 10).join("; ");
}

/** Whether an entry's statements mention an object. pg_dump qualifies all names that have a schema. */
export function mentions({ sql }: Entry, { type, schema, name }: SkippedEntry): boolean {
  // Comments and privileges are not objects that could be missing.
  if (type === "EXTENSION" || type === "ACL" || type === "COMMENT") return false;
  const wanted = /^(FUNCTION|PROCEDURE|AGGREGATE)$/.test(type) ? name.slice(0, name.indexOf("(")) : name;
  if (!sql.includes(wanted.replaceAll('"', '""'))) return false;
  const tokens = tokenize(sql);
  if (schema === undefined)
    return tokens.some((token) => /^(word|identifier)$/.test(token.kind) && identifierName(token) === wanted);
  return tokens.some((_, index) => {
    const relation = relationAt({ tokens }, index);
    return relation?.schema === schema && relation.name === wanted;
  });
}

export const skippedEntry = ({ type, schema, name }: Entry, reason: string): SkippedEntry => ({
  type,
  schema,
  name,
  reason,
});
