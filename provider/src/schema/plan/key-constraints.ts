import type { Entry } from "../sql/toc-entries.js";
import { type Token, follows } from "../sql/tokenize.js";
import { splitStatements } from "../sql/statements.js";

/** A primary key or unique constraint, split into its index and the constraint. */
export interface KeyThroughIndex {
  /** Can be built in parallel with other indexes of the table. */
  readonly index: Entry;
  /** Uses the existing index, which takes no time, and contains the other statements of the entry. */
  readonly constraint: Entry;
}

/**
 * Splits a key into index and constraint. ADD CONSTRAINT blocks all access to a table while its index is built; CREATE
 * INDEX allows other indexes to be built meanwhile. Undefined for constraints without a CREATE INDEX form (EXCLUDE,
 * WITHOUT OVERLAPS), and for deferrable ones.
 */
export function keyThroughIndex(entry: Entry): KeyThroughIndex | undefined {
  const [add, ...others] = splitStatements(entry.sql);
  if (!add) return undefined;
  const { text, tokens } = add;
  const [schema, , table, , , name] = tokens.slice(3);
  if (!schema || !table || !name || !follows(tokens, 0, "ALTER", "TABLE", "ONLY")) return undefined;
  const key = keyAt(tokens, 9);
  if (!follows(tokens, 6, "ADD", "CONSTRAINT") || !key) return undefined;
  const columns = parenthesized(tokens, key.columnsAt);
  const include = follows(tokens, columns.next, "INCLUDE") ? parenthesized(tokens, columns.next + 1) : undefined;
  const optionsAt = include?.next ?? columns.next;
  const options = follows(tokens, optionsAt, "WITH") ? parenthesized(tokens, optionsAt + 1) : undefined;
  const isAll = (options?.next ?? optionsAt) === tokens.length;
  const isPlain = !tokens
    .slice(key.columnsAt, columns.next)
    .some((_, at) => follows(tokens, key.columnsAt + at, "WITHOUT"));
  if (!isAll || !isPlain) return undefined;
  const part = ({ start, end }: Parenthesized): string => text.slice(start, end);
  const create = [
    `CREATE UNIQUE INDEX ${name.text} ON ${schema.text}.${table.text} USING btree ${part(columns)}`,
    ...(include ? [`INCLUDE ${part(include)}`] : []),
    ...(key.nullsNotDistinct ? ["NULLS NOT DISTINCT"] : []),
    ...(options ? [`WITH ${part(options)}`] : []),
  ].join(" ");
  const adopt = `ALTER TABLE ONLY ${schema.text}.${table.text} ADD CONSTRAINT ${name.text} ${key.kind} USING INDEX ${name.text}`;
  return {
    index: { ...entry, type: "INDEX", sql: `${create};` },
    constraint: { ...entry, sql: [adopt, ...others.map((other) => other.text)].map((sql) => `${sql};`).join("\n") },
  };
}

/** A key in the element list of CREATE TABLE. */
export interface KeyElement {
  readonly text: string;
  /** Including parentheses. */
  readonly columns: string;
}

/**
 * Converts a key to an element of CREATE TABLE. Undefined if {@link keyThroughIndex} does not support it, or if the
 * entry has more statements than the definition.
 */
export function keyElement(entry: Entry): KeyElement | undefined {
  const [add, ...others] = splitStatements(entry.sql);
  if (!add || others.length > 0 || entry.tablespace !== undefined || !keyThroughIndex(entry)) return undefined;
  const { text, tokens } = add;
  const columns = parenthesized(tokens, keyAt(tokens, 9)!.columnsAt);
  return { text: text.slice(tokens[7]!.start), columns: text.slice(columns.start, columns.end) };
}

interface Key {
  readonly kind: "PRIMARY KEY" | "UNIQUE";
  readonly nullsNotDistinct: boolean;
  readonly columnsAt: number;
}

function keyAt(tokens: readonly Token[], at: number): Key | undefined {
  if (follows(tokens, at, "PRIMARY", "KEY", "("))
    return { kind: "PRIMARY KEY", nullsNotDistinct: false, columnsAt: at + 2 };
  if (follows(tokens, at, "UNIQUE", "(")) return { kind: "UNIQUE", nullsNotDistinct: false, columnsAt: at + 1 };
  const isDistinct = !follows(tokens, at, "UNIQUE", "NULLS", "NOT", "DISTINCT", "(");
  return isDistinct ? undefined : { kind: "UNIQUE", nullsNotDistinct: true, columnsAt: at + 4 };
}

interface Parenthesized {
  readonly start: number;
  readonly end: number;
  /** Index of the next token after it. */
  readonly next: number;
}

function parenthesized(tokens: readonly Token[], at: number): Parenthesized {
  let depth = 0;
  let next = at;
  do {
    if (follows(tokens, next, "(")) depth++;
    if (follows(tokens, next, ")")) depth--;
    next++;
  } while (depth > 0 && next < tokens.length);
  return { start: tokens[at]!.start, end: tokens[next - 1]!.end, next };
}
