import type { Entry } from "../sql/toc-entries.js";
import { createdRoutine } from "../plan/deferred-constraints.js";
import { follows } from "../sql/tokenize.js";
import { type Statement, relationAt, splitStatements } from "../sql/statements.js";

interface StandardFunction {
  readonly entry: Entry;
  readonly name: string;
  /** Makes it with nothing but its arguments and its result. */
  readonly head: string;
  /** Gives it its body, and all else. */
  readonly replacement: string;
  /** Names of what the body calls. */
  readonly calls: ReadonlySet<string>;
}

/**
 * From 14 on a body in the SQL standard's form is read when its function is made, and what it calls has to be there. On the
 * source one that calls itself, or another one that calls it, came about by CREATE OR REPLACE. Here their entries become one
 * that does so in one transaction, since a function without its body must never be left.
 *
 * @returns one for each function that calls itself by any way, and the entries that it takes the place of
 */
export function splitRecursiveDefinition(
  entries: readonly Entry[],
): { readonly entry: Entry; readonly replaces: readonly Entry[] }[] {
  const functions = entries.flatMap((entry) => standardFunction(entry) ?? []);
  return functions.flatMap((first) => {
    const group = reachedFrom(first, functions);
    if (!group.includes(first)) return [];
    const sql = [...group.map(({ head }) => head), ...group.map(({ replacement }) => replacement)].join("\n");
    return [{ entry: { ...first.entry, sql }, replaces: group.map(({ entry }) => entry) }];
  });
}

/** What may stand between a function and itself, and is made by what its entry says alone. */
const between: ReadonlySet<string> = new Set(["AGGREGATE", "CAST", "OPERATOR", "VIEW"]);

/**
 * All such functions and what may stand between them, as one entry: for a function that reaches itself by way of an operator
 * or a view, which a body does not tell. Undefined where there are none.
 */
export function createDirectly(
  entries: readonly Entry[],
): { readonly entry: Entry; readonly replaces: readonly Entry[] } | undefined {
  const functions = entries.flatMap((entry) => standardFunction(entry) ?? []);
  const others = entries.filter(({ type }) => between.has(type));
  const [first] = functions;
  if (!first || others.length === 0) return undefined;
  const sql = [
    ...functions.map(({ head }) => head),
    ...others.map((entry) => entry.sql),
    ...functions.map(({ replacement }) => replacement),
  ].join("\n");
  return { entry: { ...first.entry, sql }, replaces: [...functions.map(({ entry }) => entry), ...others] };
}

function reachedFrom(first: StandardFunction, functions: readonly StandardFunction[]): StandardFunction[] {
  const reached = new Set<StandardFunction>();
  const callers = [first];
  for (let caller = callers.pop(); caller; caller = callers.pop()) {
    const { calls } = caller;
    const called = functions.filter((one) => calls.has(one.name) && !reached.has(one));
    for (const one of called) reached.add(one);
    callers.push(...called);
  }
  return [...reached];
}

function standardFunction(entry: Entry): StandardFunction | undefined {
  const routine = createdRoutine(entry);
  const [create, ...others] = routine ? splitStatements(entry.sql) : [];
  if (!routine || !create || others.length > 0) return undefined;
  const { text, tokens } = create;
  const language = clauseAt(create, (at) => follows(tokens, at, "LANGUAGE", "SQL"));
  const body = clauseAt(create, (at) => follows(tokens, at, "RETURN") || follows(tokens, at, "BEGIN", "ATOMIC"));
  if (language < 0 || body < language) return undefined;
  const calls = tokens.flatMap((_, at) => {
    const called = at > body && follows(tokens, at + 3, "(") ? relationAt(create, at) : undefined;
    return called ? [keyOf(called)] : [];
  });
  return {
    entry,
    name: keyOf(routine),
    head: `${text.slice(0, tokens[language]!.start)}LANGUAGE sql AS '';`,
    replacement: `CREATE OR REPLACE${text.slice(tokens[0]!.end)};`,
    calls: new Set(calls),
  };
}

/** The first place outside of parentheses that is no part of a name: an argument or a type may be called by a key word. */
function clauseAt({ tokens }: Statement, begins: (at: number) => boolean): number {
  let depth = 0;
  return tokens.findIndex((_, at) => {
    if (follows(tokens, at, "(")) depth++;
    if (follows(tokens, at, ")")) depth--;
    return depth === 0 && tokens[at - 1]?.text !== "." && begins(at);
  });
}

const keyOf = ({ schema, name }: { readonly schema: string; readonly name: string }): string =>
  JSON.stringify([schema, name]);
