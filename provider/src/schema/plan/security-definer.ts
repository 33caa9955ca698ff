import { newOwner, splitStatements } from "../sql/statements.js";
import type { Entry } from "../sql/toc-entries.js";
import { follows, type Token } from "../sql/tokenize.js";

/**
 * Separates SECURITY DEFINER from the function that has it. Until the handover, all functions belong to the restoring role,
 * and every role may execute them: their code would run with the privileges of the restoring role.
 *
 * @param isTrusted whether the code of an owner may run with these privileges
 */
export function separateDefiner(
  entry: Entry,
  isTrusted: (owner: string) => boolean,
): { readonly entry: Entry; readonly definer?: Entry } {
  const { type, sql } = entry;
  if ((type !== "FUNCTION" && type !== "PROCEDURE") || !sql.includes("SECURITY DEFINER")) return { entry };
  const [create, ...others] = splitStatements(sql);
  const ownerChange = others.find((statement) => newOwner(statement) !== undefined);
  const words = create && definerAt(create.tokens);
  if (!ownerChange || !words) return { entry };
  const created = create.text.slice(0, words.start) + create.text.slice(words.end);
  const alter = ownerChange.text.slice(0, ownerChange.tokens.at(-3)!.start);
  const mayRunAsRestorer = isTrusted(newOwner(ownerChange)!);
  return {
    entry: { ...entry, sql: [created, ...others.map(({ text }) => text)].map((text) => `${text};`).join("\n\n") },
    definer: {
      ...entry,
      type: `${type} DEFINER`,
      sql: `${alter}SECURITY DEFINER;`,
      ...(mayRunAsRestorer ? {} : { needsOwner: true }),
    },
  };
}

/** The option of CREATE FUNCTION. Arguments, which are in parentheses, may have names like it. */
function definerAt(tokens: readonly Token[]): { readonly start: number; readonly end: number } | undefined {
  let depth = 0;
  for (const [at, { text, start }] of tokens.entries()) {
    if (text === "(") depth++;
    if (text === ")") depth--;
    if (depth === 0 && follows(tokens, at, "SECURITY", "DEFINER")) return { start, end: tokens[at + 1]!.end };
  }
  return undefined;
}
