import { type Token, follows } from "../sql/tokenize.js";
import type { Statement } from "../sql/statements.js";

/** Position of `schema.name` in `CREATE [UNLOGGED] TABLE schema.name`. */
export function createdRelationAt({ tokens }: Statement): number | undefined {
  const at = tokens.findIndex((_, index) => follows(tokens, index, "TABLE"));
  return at === 1 || at === 2 ? at + 1 : undefined;
}

/** A column or constraint in the element list of CREATE TABLE. Positions of tokens are those of the statement. */
export interface TableElement {
  readonly tokens: readonly Token[];
  readonly text: string;
}

/** The elements of CREATE TABLE, in order; empty without an element list. */
export function elementsOf({ text, tokens }: Statement): TableElement[] {
  const result: TableElement[] = [];
  const opened = tokens.findIndex((_, index) => follows(tokens, index, "("));
  let depth = 0;
  let first = opened + 1;
  for (let at = opened; at < tokens.length && opened >= 0; at++) {
    if (follows(tokens, at, "(")) depth++;
    if (follows(tokens, at, ")")) depth--;
    const isEnd = depth === 0 || (depth === 1 && follows(tokens, at, ","));
    if (isEnd && at > first) {
      const own = tokens.slice(first, at);
      result.push({ tokens: own, text: text.slice(own[0]!.start, own.at(-1)!.end) });
    }
    if (isEnd) first = at + 1;
    if (depth === 0) break;
  }
  return result;
}

/** The text of CREATE TABLE without some of its elements. */
export function withoutElements(create: Statement, removed: readonly TableElement[]): string {
  const removedTexts = new Set(removed.map(({ text }) => text));
  return replaceElements(create, (texts) => texts.filter((text) => !removedTexts.has(text)));
}

/** The text of CREATE TABLE with additional elements at the end; undefined if its name is not followed by a list. */
export function withElements(create: Statement, added: readonly string[]): string | undefined {
  const at = createdRelationAt(create);
  if (at === undefined || !follows(create.tokens, at + 3, "(")) return undefined;
  return replaceElements(create, (texts) => [...texts, ...added]);
}

function replaceElements(create: Statement, change: (texts: readonly string[]) => readonly string[]): string {
  const { text, tokens } = create;
  const elements = elementsOf(create);
  const opened = tokens.find((_, index) => follows(tokens, index, "("))!;
  const last = elements.at(-1)!.tokens.at(-1)!;
  const list = change(elements.map((element) => element.text));
  return `${text.slice(0, opened.end)}\n    ${list.join(",\n    ")}${text.slice(last.end)}`;
}
