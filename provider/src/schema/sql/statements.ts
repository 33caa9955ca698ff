import type { RelationName } from "../../postgres/identifiers.js";
import { type Token, follows, identifierName, tokenize } from "./tokenize.js";

/** One SQL statement without its semicolon, and its tokens. Positions are those of `text`. */
export interface Statement {
  readonly text: string;
  readonly tokens: readonly Token[];
}

export function parseStatement(text: string): Statement {
  return { text, tokens: tokenize(text) };
}

/**
 * Splits an entry into statements at semicolons. Semicolons in quotes, in parentheses (`CREATE RULE ... DO (a; b)`) and
 * in bodies of SQL-standard functions (`BEGIN ATOMIC ... END`) do not count.
 */
export function splitStatements(sql: string): Statement[] {
  const tokens = tokenize(sql);
  const statements: Statement[] = [];
  let first = 0;
  let depth = 0;
  for (let index = 0; index <= tokens.length; index++) {
    const token = tokens[index];
    if (token) depth += nesting(tokens, index, depth);
    if (token && (depth > 0 || !follows(tokens, index, ";"))) continue;
    if (index > first) statements.push(part(sql, tokens.slice(first, index)));
    first = index + 1;
  }
  return statements;
}

/**
 * The change of the nesting depth by a token. CASE counts only inside a body, where its END would otherwise close the
 * body.
 */
function nesting(tokens: readonly Token[], index: number, depth: number): number {
  if (follows(tokens, index, "(") || follows(tokens, index, "BEGIN", "ATOMIC")) return 1;
  if (follows(tokens, index, ")")) return -1;
  if (depth === 0) return 0;
  if (follows(tokens, index, "CASE")) return 1;
  return follows(tokens, index, "END") ? -1 : 0;
}

function part(sql: string, tokens: readonly Token[]): Statement {
  const start = tokens[0]!.start;
  const text = sql.slice(start, tokens.at(-1)!.end);
  // Most entries are one statement. Copying their tokens would double the memory of thousands of entries.
  if (start === 0) return { text, tokens };
  return { text, tokens: tokens.map((token) => ({ ...token, start: token.start - start, end: token.end - start })) };
}

/** The role in `ALTER ... OWNER TO role`; undefined for other statements. */
export function newOwner({ tokens }: Statement): string | undefined {
  const role = tokens.at(-1);
  const isOwnerChange = follows(tokens, 0, "ALTER") && follows(tokens, tokens.length - 3, "OWNER", "TO");
  return isOwnerChange && role ? identifierName(role) : undefined;
}

/** `schema.name` at a position of a statement, as pg_dump writes every relation. */
export function relationAt(
  { tokens }: Pick<Statement, "tokens">,
  index: number,
): { readonly schema: string; readonly name: string } | undefined {
  const [schema, dot, name] = tokens.slice(index, index + 3);
  if (!schema || !name || dot?.text !== ".") return undefined;
  return { schema: identifierName(schema), name: identifierName(name) };
}

/**
 * The first qualified name in a statement: mostly the object that it creates, or the relation of a rule. The fields of an entry
 * are for display, without line breaks.
 */
export function firstRelation({ tokens }: Pick<Statement, "tokens">): RelationName | undefined {
  const dot = tokens.findIndex(({ text }) => text === ".");
  return dot < 1 ? undefined : relationAt({ tokens }, dot - 1);
}

/** The schema of {@link firstRelation}. */
export const schemaOf = (statement: Statement): string | undefined => firstRelation(statement)?.schema;

/** The relation in `GRANT ... ON TABLE x.y TO z`, which pg_dump also writes for views. */
export function grantedRelation({ tokens }: Statement): RelationName | undefined {
  if (!follows(tokens, 0, "GRANT")) return undefined;
  const on = tokens.findIndex((_, index) => follows(tokens, index, "ON", "TABLE"));
  return on < 0 ? undefined : relationAt({ tokens }, on + 2);
}

/**
 * A statement for messages. The connection string of a subscription, the options of a server or a user mapping, and the body of
 * a function may contain a password.
 */
export function withoutSecrets({ text, tokens }: Statement): string {
  const body = bodyAt(tokens);
  if (body !== undefined)
    return `${withoutSettingValues(text.slice(0, tokens[body - 1]!.end), tokens.slice(0, body))} ${hiddenValue}`;
  const secret = tokens.findIndex(
    (_, index) => follows(tokens, index, "CONNECTION") || follows(tokens, index, "OPTIONS"),
  );
  if (secret < 0 || !(follows(tokens, 0, "CREATE") || follows(tokens, 0, "ALTER", "FOREIGN")))
    return withoutSettingValues(text, tokens);
  return `${withoutSettingValues(text.slice(0, tokens[secret]!.end), tokens.slice(0, secret + 1))} ...`;
}

const hiddenValue = "'<hidden value>'";

/** To be one of a list of statements. */
export const withoutSemicolon = (sql: string): string => sql.trim().replace(/;$/, "");

/** What to add to a request to run statements, in which values may be hidden. */
export const hiddenValueHint = (statements: string): string =>
  statements.includes(hiddenValue) ? ` (with the source's value in place of ${hiddenValue})` : "";

/** The position of the body in CREATE FUNCTION or CREATE PROCEDURE: a text, or statements (`BEGIN ATOMIC`, `RETURN`). */
function bodyAt(tokens: readonly Token[]): number | undefined {
  const kind = follows(tokens, 1, "OR", "REPLACE") ? 3 : 1;
  const isRoutine = follows(tokens, kind, "FUNCTION") || follows(tokens, kind, "PROCEDURE");
  if (!follows(tokens, 0, "CREATE") || !isRoutine) return undefined;
  const as = tokens.findLastIndex((_, index) => follows(tokens, index, "AS") && tokens[index + 1]?.kind === "string");
  if (as >= 0) return as + 1;
  let depth = 0;
  const first = tokens.findIndex((_, index) => {
    // An argument may be named return.
    depth += nesting(tokens, index, 0);
    return follows(tokens, index, "BEGIN", "ATOMIC") || (depth === 0 && follows(tokens, index, "RETURN"));
  });
  return first < 0 ? undefined : first;
}

/**
 * An SQL text for messages, without the values of settings with a prefix, which applications invent and use for keys:
 * `SET "app.jwt_secret" TO ...` of a function, a role or a database. Arguments of triggers are hidden, too: those that send
 * requests have the receiver's token there.
 *
 * @example withoutSettingValues(`ALTER DATABASE crm SET app.key TO 'k'`) // ALTER DATABASE crm SET app.key TO '<hidden value>'
 */
export function withoutSettingValues(sql: string, tokens: readonly Token[] = tokenize(sql)): string {
  let shown = "";
  let shownUntil = 0;
  tokens.forEach((_, index) => {
    const to = toOfPrefixedSetting(tokens, index);
    const values = to === undefined ? argumentsOfTrigger(tokens, index) : { first: to + 1, separator: " " };
    if (!values) return;
    shown += `${sql.slice(shownUntil, tokens[values.first - 1]!.end)}${values.separator}${hiddenValue}`;
    shownUntil = tokens[endOfValues(tokens, values.first)]?.end ?? sql.length;
  });
  return shown + sql.slice(shownUntil);
}

/** The position of the arguments, if `EXECUTE FUNCTION s.f('a', 'b')` starts at `execute`. */
function argumentsOfTrigger(
  tokens: readonly Token[],
  execute: number,
): { readonly first: number; readonly separator: string } | undefined {
  if (!follows(tokens, execute, "EXECUTE", "FUNCTION") && !follows(tokens, execute, "EXECUTE", "PROCEDURE"))
    return undefined;
  const first = tokens.findIndex(({ text }, index) => index > execute && text === "(") + 1;
  return first > 0 && tokens[first]?.kind === "string" ? { first, separator: "" } : undefined;
}

/** The position of TO, if `SET "a.b" TO` or `SET a.b.c TO` starts at `set`. */
function toOfPrefixedSetting(tokens: readonly Token[], set: number): number | undefined {
  if (!follows(tokens, set, "SET")) return undefined;
  let name = set + 1;
  while (follows(tokens, name + 1, ".")) name += 2;
  const hasPrefix = name > set + 1 || tokens[name]?.text.includes(".") === true;
  return hasPrefix && follows(tokens, name + 1, "TO") ? name + 1 : undefined;
}

/** The last token of a list of values: `'a', E'b'`. A trigger may have thousands of arguments. */
function endOfValues(tokens: readonly Token[], first: number): number {
  const endOfValue = (at: number): number =>
    follows(tokens, at, "E") && tokens[at + 1]?.kind === "string" ? at + 1 : at;
  let last = endOfValue(first);
  while (follows(tokens, last + 1, ",")) last = endOfValue(last + 2);
  return last;
}
