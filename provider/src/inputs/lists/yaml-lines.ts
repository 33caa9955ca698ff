import { isMap, isSeq, Lexer, LineCounter, parseDocument, Parser, type Document, type Node } from "yaml";
import { messageOf } from "../../errors.js";
import type { ListLine } from "./list-line.js";

/**
 * Reads a list in YAML or JSON. The list is the whole document, or the value of one of the keys.
 *
 * @param keys names under which programs print the list, such as `value` of Azure's API
 * @returns undefined if the values are nested more than 100 levels deep
 * @example yamlLines("- host: db1\n- host: db2\n", []) // [{ line: 1, values: { host: "db1" } }, { line: 2, ... }]
 */
export function yamlLines(text: string, keys: readonly string[]): ListLine[] | undefined {
  if (isTooDeep(text)) return undefined;
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  if (document.errors.length > 0)
    return document.errors.map(({ pos, message }) => ({
      line: lines.linePos(pos[0]).line,
      problem: message.split(/ at line \d/)[0]!,
    }));
  const list = listIn(document, keys);
  if (!list)
    return [
      { line: 1, problem: `expected a list${keys.length > 0 ? `, or an object with ${keys.join(" or ")}` : ""}` },
    ];
  return list.items.map((item): ListLine => {
    const node = item as Node;
    const { line } = lines.linePos(node.range?.[0] ?? 0);
    if (!isMap(node)) return { line, problem: "expected an object" };
    try {
      return { line, values: node.toJS(document) as Record<string, unknown> };
    } catch (error) {
      // An alias without an anchor, or so many that the values would fill the memory.
      return { line, problem: messageOf(error) };
    }
  });
}

/** Deeper values would exhaust the stack of the recursive parser, which ends the process without an error. */
const maxDepth = 100;

function isTooDeep(text: string): boolean {
  const parser = new Parser();
  for (const lexeme of new Lexer().lex(text)) {
    Array.from(parser.next(lexeme));
    if (parser.stack.length > maxDepth) return true;
  }
  return false;
}

function listIn({ contents }: Document, keys: readonly string[]): { readonly items: readonly unknown[] } | undefined {
  if (isSeq(contents)) return contents;
  if (!isMap(contents)) return undefined;
  return keys.map((key) => contents.get(key)).find((value) => isSeq(value));
}
