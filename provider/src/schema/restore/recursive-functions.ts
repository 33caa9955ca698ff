import { relationKey } from "../../postgres/identifiers.js";
import type { Entry } from "../sql/toc-entries.js";
import { createdRoutine } from "../plan/deferred-constraints.js";
import { follows } from "../sql/tokenize.js";
import { type Statement, relationAt, splitStatements } from "../sql/statements.js";

interface StandardFunction {
  readonly entry: Entry;
  readonly name: string;
  /** Creates the function with its arguments and result, but without its body. */
  readonly head: string;
  /** Adds the body and all other properties. */
  readonly replacement: string;
  /** Names of the functions that the body calls. */
  readonly calls: ReadonlySet<string>;
}

/**
 * Handles functions with SQL-standard bodies (from 14 on) that call themselves, directly or through each other. Their
 * bodies are parsed at creation, and the called functions must exist. On the source they were created with CREATE OR
 * REPLACE. Their entries are combined into one entry, executed in one transaction, so that no function remains without
 * its body.
 *
 * @returns one entry for each group of functions, and the entries that it replaces
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

/** Kinds that can connect a function to itself and that are created by their entry alone. */
const between: ReadonlySet<string> = new Set(["AGGREGATE", "CAST", "OPERATOR", "VIEW"]);

/**
 * Combines all such functions and connecting objects into one entry. This supports functions that call themselves
 * through an operator or a view. Undefined without such functions.
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
    return called ? [relationKey(called)] : [];
  });
  return {
    entry,
    name: relationKey(routine),
    head: `${text.slice(0, tokens[language]!.start)}LANGUAGE sql AS '';`,
    replacement: `CREATE OR REPLACE${text.slice(tokens[0]!.end)};`,
    calls: new Set(calls),
  };
}

/** The first position of a clause outside parentheses. An argument or a type may have the name of a key word. */
function clauseAt({ tokens }: Statement, begins: (at: number) => boolean): number {
  let depth = 0;
  return tokens.findIndex((_, at) => {
    if (follows(tokens, at, "(")) depth++;
    if (follows(tokens, at, ")")) depth--;
    return depth === 0 && tokens[at - 1]?.text !== "." && begins(at);
  });
}
