import { type Token, tokenize } from "../sql/tokenize.js";

/**
 * A form of a printed definition that is equal if only the printing differs. It ignores white space, casts, parentheses around a
 * single value, and names of tables before columns. A restored definition prints casts and parentheses in another way than the
 * original one (`(a)::text = ANY ((ARRAY['x'::varchar])::text[])`), and so do versions of PostgreSQL. Names of schemas are lost,
 * too.
 *
 * @example
 * comparableDefinition("CHECK (((a)::text = 'x'::text))") === comparableDefinition("CHECK ((a = 'x'))");
 */
export function comparableDefinition(printed: string): string {
  const words = withoutQualifiers(withoutCasts(tokenize(printed).map(({ text }: Token) => text)));
  return withoutRedundantParentheses(words).join(" ");
}

function withoutCasts(words: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at < words.length; at++) {
    if (words[at] === ":" && words[at + 1] === ":") at = endOfType(words, at + 2) - 1;
    else kept.push(words[at]!);
  }
  return kept;
}

/** Words that continue the name of a type: `character varying`, `timestamp(3) without time zone`. */
const typeWords: ReadonlySet<string> = new Set(["varying", "precision", "without", "with", "time", "zone"]);

/** The position after a type: `numeric(12,3)[]`, `public."a b"`. */
function endOfType(words: readonly string[], start: number): number {
  let at = start + 1;
  while (words[at] === ".") at += 2;
  for (;;) {
    if (typeWords.has(words[at] ?? "")) at++;
    else if (words[at] === "(") at = words.indexOf(")", at) + 1 || words.length;
    else if (words[at] === "[") at = words.indexOf("]", at) + 1 || words.length;
    else return at;
  }
}

const withoutQualifiers = (words: readonly string[]): string[] =>
  words.filter((word, at) => word !== "." && !(words[at + 1] === "." && /^["\w]/.test(word)));

/** Removes pairs that contain one word or another pair. */
function withoutRedundantParentheses(words: readonly string[]): string[] {
  const opened: number[] = [];
  const partner = new Map<number, number>();
  words.forEach((word, at) => {
    if (word === "(") opened.push(at);
    const start = word === ")" ? opened.pop() : undefined;
    if (start !== undefined) partner.set(start, at);
  });
  const removed = new Set<number>();
  for (const [start, end] of partner) {
    const inner = partner.get(start + 1);
    const isCall = /^\w/.test(words[start - 1] ?? "") && !/^[A-Z]+$/.test(words[start - 1]!);
    const isSingle = end === start + 2 && !isCall;
    if (isSingle || (inner !== undefined && inner === end - 1)) for (const at of [start, end]) removed.add(at);
  }
  return words.filter((_, at) => !removed.has(at));
}
