import type { Client, DatabaseError } from "pg";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { type Draft, asInvoker, findingFor, withoutGrants } from "./adapted-entry.js";
import { materializedQuery, pinSearchPath } from "./function-search-path.js";
import type { RestoreContext } from "./restore-context.js";
import { type Token, follows, identifierName } from "../sql/tokenize.js";
import { type Statement, newOwner, parseStatement, schemaOf } from "../sql/statements.js";

/** A statement of an adapted entry that the target refused. */
export interface Refusal {
  readonly statement: Statement;
  readonly error: DatabaseError;
}

/** Adapts an entry to a refusal; undefined if there is no adaptation, or it was applied before. */
export async function revise(
  target: Client,
  draft: Draft,
  refusal: Refusal,
  context: RestoreContext,
): Promise<Draft | undefined> {
  switch (refusal.error.code) {
    case "22023":
      return withoutUnknownOption(draft, refusal);
    case "0A000":
      return withoutCompression(draft, refusal);
    case "42501":
      return (
        withoutSetting(draft, refusal) ??
        withoutLeakproof(draft, refusal) ??
        withoutSupport(draft, refusal) ??
        withRoomForOwner(draft, refusal, context) ??
        withOwnerRole(draft, context) ??
        withoutOwner(draft, refusal, context)
      );
    case "3F000":
    case "42883":
    case "42704":
    case "42P01":
      return underSourceSearchPath(target, draft, refusal, context);
    default:
      return undefined;
  }
}

const note = (draft: Draft, message: string, remedy?: string): Draft["findings"] => [
  ...draft.findings,
  findingFor(draft.entry, { code: "PGM-441", message, state: "Warning", ...(remedy === undefined ? {} : { remedy }) }),
];

/** Removes a part of a statement. */
function withoutText(
  draft: Draft,
  statement: Statement,
  { start, end }: Pick<Token, "start" | "end">,
  { message, remedy }: { readonly message: string; readonly remedy: string },
): Draft {
  const revised = parseStatement(statement.text.slice(0, start) + statement.text.slice(end));
  const statements = draft.statements.map((it) => (it === statement ? revised : it));
  return { ...draft, statements, findings: note(draft, message, remedy) };
}

/** The quoted name in a server's message, in any language. */
const quotedName = (message: string): string | undefined => /["«„“](.+?)["»“”]/.exec(message)?.[1];

/** Removes an option that the target does not know, such as those of patched servers. */
function withoutUnknownOption(draft: Draft, { error }: Refusal): Draft | undefined {
  const option = quotedName(error.message);
  if (option === undefined) return undefined;
  const statements = draft.statements.flatMap((statement) => withoutOption(statement, option));
  const changed =
    statements.length < draft.statements.length || statements.some((it) => !draft.statements.includes(it));
  if (!changed) return undefined;
  const message = `the option ${option} was left out: the target does not know it`;
  return { ...draft, statements, findings: note(draft, message) };
}

/**
 * Removes `option = value` from a statement's option lists. Empty if the list had only that option and was the
 * statement's purpose.
 */
function withoutOption(statement: Statement, option: string): Statement[] {
  const { tokens, text } = statement;
  const at = tokens.findIndex((token, index) => isOption(tokens, index) && optionName(token) === option);
  if (at < 0) return [statement];
  const first = namespaceStart(tokens, at);
  const last = endOfValue(tokens, at);
  const [before, behind] = [tokens[first - 1]!, tokens[last + 1]!];
  if (before.text === "(" && behind.text === ")") {
    const clause = tokens[first - 2];
    if (clause?.text.toUpperCase() !== "WITH") return [];
    return withoutOption(parseStatement(`${text.slice(0, clause.start)}${text.slice(behind.end)}`), option);
  }
  // Removes one of the two commas around it.
  const [start, end] = before.text === "," ? [before.start, behind.start] : [tokens[first]!.start, behind.end];
  return withoutOption(parseStatement(`${text.slice(0, start)}${text.slice(end)}`), option);
}

const optionName = (token: Token): string | undefined =>
  token.kind === "symbol" || token.kind === "string" ? undefined : identifierName(token);

/** `(name = ` or `, name = `. The name may have a namespace (`toast.name`). */
function isOption(tokens: readonly Token[], index: number): boolean {
  const before = tokens[namespaceStart(tokens, index) - 1]?.text;
  return tokens[index + 1]?.text === "=" && (before === "(" || before === ",");
}

const namespaceStart = (tokens: readonly Token[], index: number): number =>
  tokens[index - 1]?.text === "." ? index - 2 : index;

/** A value is one token, except for numbers with a sign or several parts. */
function endOfValue(tokens: readonly Token[], at: number): number {
  let last = at + 2;
  while (last + 1 < tokens.length && tokens[last + 1]!.text !== "," && tokens[last + 1]!.text !== ")") last++;
  return last;
}

/** Removes a compression method: lz4 is an option of the server's build. */
function withoutCompression(draft: Draft, { statement }: Refusal): Draft | undefined {
  const { tokens } = statement;
  if (!follows(tokens, tokens.length - 3, "SET", "COMPRESSION")) return undefined;
  const message = `the column's compression method was left out: the target does not support it`;
  return {
    ...draft,
    statements: draft.statements.filter((it) => it !== statement),
    findings: note(draft, message, "none needed: values are compressed with the target's default method"),
  };
}

/** Removes a clause `SET name TO 'value', ...` from a function, if the creator may not change that setting. */
function withoutSetting(draft: Draft, { statement, error }: Refusal): Draft | undefined {
  const { tokens } = statement;
  if (!follows(tokens, 0, "CREATE")) return undefined;
  const refused = quotedName(error.message);
  const at = tokens.findIndex(
    (_, index) => follows(tokens, index, "SET") && settingAt(tokens, index + 1)?.name === refused,
  );
  const setting = settingAt(tokens, at + 1);
  if (at < 0 || !setting) return undefined;
  let last = setting.next + 1;
  while (tokens[last + 1]?.text === ",") last += 2;
  const cut = { start: tokens[at]!.start, end: tokens[last]!.end };
  const message = `its setting ${setting.name} was left out: only a superuser of the target may set it`;
  const remedy = "set it as a server parameter of the target, or GRANT SET on it to the migrating role";
  return withoutText(draft, statement, cut, { message, remedy });
}

/** A parameter's name before TO. It may have a prefix, and may be quoted as a whole or in parts. */
function settingAt(tokens: readonly Token[], at: number): { name: string; next: number } | undefined {
  const to = tokens.findIndex((_, index) => index > at && follows(tokens, index, "TO"));
  if (to < 0 || to > at + 3) return undefined;
  const name = tokens
    .slice(at, to)
    .map((token) => (token.kind === "symbol" ? token.text : identifierName(token)))
    .join("");
  return { name, next: to };
}

/** Removes LEAKPROOF, which only a superuser may set. */
function withoutLeakproof(draft: Draft, { statement }: Refusal): Draft | undefined {
  const word = statement.tokens.findIndex((_, index) => follows(statement.tokens, index, "LEAKPROOF"));
  if (word < 0) return undefined;
  const message = "it is not LEAKPROOF on the target, because that requires a superuser";
  const remedy = "none needed for correct results: views with security barriers may use fewer indexes";
  return withoutText(draft, statement, statement.tokens[word]!, { message, remedy });
}

/** Removes `SUPPORT schema.name`, which only a superuser may set. */
function withoutSupport(draft: Draft, { statement }: Refusal): Draft | undefined {
  const { tokens } = statement;
  if (draft.entry.type !== "FUNCTION") return undefined;
  const language = tokens.findIndex((_, index) => follows(tokens, index, "LANGUAGE"));
  const word = tokens.findIndex((_, index) => index > language && follows(tokens, index, "SUPPORT"));
  if (language < 0 || word < 0) return undefined;
  const last = tokens[word + 2]?.text === "." ? word + 3 : word + 1;
  const cut = { start: tokens[word]!.start, end: tokens[last]!.end };
  const message = "it has no SUPPORT function on the target, because that requires a superuser";
  const remedy = "none needed for correct results: the planner has less information";
  return withoutText(draft, statement, cut, { message, remedy });
}

/**
 * Grants CREATE on the schema (for a schema, on the database) to the new owner during the transaction. The owner may
 * have lost the privilege on the source.
 */
function withRoomForOwner(draft: Draft, { statement }: Refusal, { database }: RestoreContext): Draft | undefined {
  const owner = newOwner(statement);
  if (owner === undefined || draft.statements.length > 1) return undefined;
  const schema = schemaOf(statement);
  const place = schema === undefined ? `DATABASE ${quoteIdentifier(database)}` : `SCHEMA ${quoteIdentifier(schema)}`;
  const lend = parseStatement(`GRANT CREATE ON ${place} TO ${quoteIdentifier(owner)}`);
  const takeBack = parseStatement(`REVOKE CREATE ON ${place} FROM ${quoteIdentifier(owner)}`);
  return { ...draft, statements: [lend, statement, takeBack] };
}

/** Runs the entry as the owner's role, if the administrator is a member but does not inherit its privileges. */
export function withOwnerRole(draft: Draft, { roles }: RestoreContext): Draft | undefined {
  const { owner, type } = draft.entry;
  const mayNeedOwner = type === "ACL" || type === "MATERIALIZED VIEW DATA" || type.endsWith(" DEFINER");
  if (!mayNeedOwner || owner === undefined || !roles.get(owner)?.mayBecome || draft.settings.role) return undefined;
  return { ...draft, settings: { ...draft.settings, role: owner } };
}

/** Leaves a function SECURITY INVOKER, and a view without other roles' privileges, if it could not be given to its owner. */
function withoutOwner({ entry }: Draft, { statement }: Refusal, context: RestoreContext): Draft | undefined {
  if (newOwner(statement) === undefined) return undefined;
  if (entry.type === "ACL") return withoutGrants(entry, context);
  return entry.type.endsWith(" DEFINER") ? asInvoker(entry, context) : undefined;
}

/** Kinds for which the server uses an empty search_path from 17 on, independent of the session's setting. */
const maintained: ReadonlySet<string> = new Set(["CONSTRAINT", "INDEX", "MATERIALIZED VIEW DATA"]);

/**
 * Runs an entry with the source's search_path. pg_dump restores with an empty one, in which a function cannot find
 * tables without their schema. For maintenance commands of the server, the called functions get the source's
 * search_path permanently.
 */
async function underSourceSearchPath(
  target: Client,
  draft: Draft,
  refusal: Refusal,
  context: RestoreContext,
): Promise<Draft | undefined> {
  const path = context.sourceSearchPath;
  if (path === undefined || draft.settings.search_path !== undefined) return undefined;
  const settings = { ...draft.settings, search_path: path };
  const why = `a function or query that it uses omits a schema (${refusal.error.message})`;
  const remedy = "add the schema inside the function, or ALTER FUNCTION ... SET search_path, on both servers";
  if (context.version < 170000 || !maintained.has(draft.entry.type)) {
    const message = `it was restored under the source's search_path ${path}, because ${why}`;
    return { ...draft, settings, findings: note(draft, message, remedy) };
  }
  const pins = await pinSearchPath(target, await codeOf(target, draft, refusal), path);
  const functions = pins.map(({ text }) => text.slice("ALTER FUNCTION ".length, text.indexOf(" SET search_path")));
  const message = `the search_path ${path} was set for ${functions.join(", ")}, because ${why}`;
  return pins.length === 0
    ? undefined
    : { ...draft, settings, statements: [...pins, ...draft.statements], findings: note(draft, message, remedy) };
}

const codeOf = async (target: Client, { entry }: Draft, { statement }: Refusal): Promise<Statement> =>
  entry.type === "MATERIALIZED VIEW DATA" && entry.schema !== undefined
    ? materializedQuery(target, { schema: entry.schema, name: entry.name })
    : statement;
