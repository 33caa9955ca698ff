import type { Entry } from "../sql/toc-entries.js";
import type { RelationName } from "../../postgres/identifiers.js";
import { type Token, follows, identifierName, tokenize } from "../sql/tokenize.js";
import { type Statement, relationAt, splitStatements } from "../sql/statements.js";
import { type TableElement, createdRelationAt, elementsOf, withoutElements } from "./table-elements.js";

/** A constraint that was added NOT VALID, and the statement that looks at all rows. */
export interface Validation {
  /** ALTER TABLE ... VALIDATE CONSTRAINT, under the constraint's own id. */
  readonly entry: Entry;
  readonly table: RelationName;
  readonly constraint: string;
}

export interface DeferredConstraint {
  /** Adds it NOT VALID, which looks at no row. */
  readonly added: Entry;
  readonly validation: Validation;
}

/**
 * A foreign key in two steps. Undefined where it is not to be validated (NOT VALID on the source, NOT ENFORCED), and where a
 * side is partitioned: before 18 such a key either cannot be NOT VALID or stays so for the partitions.
 */
export function deferredForeignKey(
  entry: Entry,
  isPartitioned: (table: RelationName) => boolean,
): DeferredConstraint | undefined {
  const [add, ...others] = splitStatements(entry.sql);
  if (!add || others.length > 0) return undefined;
  const { text, tokens } = add;
  const table = relationAt(add, 3);
  const name = tokens[8];
  // pg_dump leaves ONLY out for partitioned tables.
  if (!table || !name || !follows(tokens, 0, "ALTER", "TABLE", "ONLY")) return undefined;
  const references = tokens.findIndex((_, index) => follows(tokens, index, "REFERENCES"));
  const referenced = relationAt(add, references + 1);
  if (!referenced || isPartitioned(referenced) || isNotChecked(tokens)) return undefined;
  return {
    added: { ...entry, sql: `${text} NOT VALID;` },
    validation: validationOf(entry, `ONLY ${quotedRelation(add, 3)}`, table, name),
  };
}

/** NOT VALID or NOT ENFORCED, at the end of a constraint's definition. */
const isNotChecked = (tokens: readonly Token[]): boolean =>
  ["VALID", "ENFORCED"].some((word) => tokens.some((_, index) => follows(tokens, index, "NOT", word)));

const quotedRelation = ({ text, tokens }: Statement, at: number): string =>
  text.slice(tokens[at]!.start, tokens[at + 2]!.end);

const validationOf = (entry: Entry, relation: string, table: RelationName, name: Token): Validation => ({
  entry: { ...entry, sql: `ALTER TABLE ${relation} VALIDATE CONSTRAINT ${name.text};` },
  table,
  constraint: identifierName(name),
});

/**
 * A table without those of its checks that may see other rows, or another time or user, than when a row was written: they
 * would be asked for every row copied, when the tables that their functions read may still be empty.
 *
 * @param isUsers whether the dump brings this function
 */
export function separateDeferredChecks(
  table: Entry,
  isUsers: (routine: RelationName) => boolean,
): { readonly table: Entry; readonly checks: readonly DeferredConstraint[] } {
  if (table.type !== "TABLE" || !table.sql.includes(" CHECK (")) return { table, checks: [] };
  const [create, ...others] = splitStatements(table.sql);
  const relation = create && createdRelationAt(create);
  if (!create || relation === undefined) return { table, checks: [] };
  const late = elementsOf(create).filter((element) => isLateCheck(element, isUsers));
  if (late.length === 0) return { table, checks: [] };
  const quoted = quotedRelation(create, relation);
  const checks = late.map(({ tokens, text }): DeferredConstraint => {
    const name = `${table.name} ${identifierName(tokens[1]!)}`;
    // The table's numbers are not the check's.
    const entry = { ...table, classOid: 0, oid: 0, dependencies: [table.id], type: "CHECK CONSTRAINT", name };
    return {
      // Without ONLY: what inherits the table inherits the constraint.
      added: { ...entry, sql: `ALTER TABLE ${quoted} ADD ${text} NOT VALID;` },
      validation: validationOf(entry, quoted, relationAt(create, relation)!, tokens[1]!),
    };
  });
  const kept = [withoutElements(create, late), ...others.map(({ text }) => text)];
  return { table: { ...table, sql: kept.map((text) => `${text};`).join("\n\n") }, checks };
}

/**
 * A domain without those of its checks that may answer otherwise at another moment: their functions may read tables that
 * are filled later.
 *
 * @param isInside whether arrays or composite types are made of the domain: the server validates none of their values, so
 *   that the checks have to be there from the beginning
 */
export function separateDeferredDomainChecks(
  domain: Entry,
  isUsers: (routine: RelationName) => boolean,
  isInside: (quotedDomain: string) => boolean,
): { readonly domain: Entry; readonly checks: readonly DeferredConstraint[] } {
  if (domain.type !== "DOMAIN" || !domain.sql.includes(" CHECK (")) return { domain, checks: [] };
  const [create, ...others] = splitStatements(domain.sql);
  const name = create && relationAt(create, 2);
  if (!create || !name) return { domain, checks: [] };
  const late = domainConstraints(create).filter((element) => isLateCheck(element, isUsers));
  const quoted = quotedRelation(create, 2);
  if (late.length === 0 || isInside(quoted)) return { domain, checks: [] };
  const checks = late.map(({ tokens, text }): DeferredConstraint => {
    const constraint = tokens[1]!;
    const title = `${domain.name} ${identifierName(constraint)}`;
    const entry = { ...domain, classOid: 0, oid: 0, dependencies: [domain.id], type: "CHECK CONSTRAINT", name: title };
    return {
      added: { ...entry, sql: `ALTER DOMAIN ${quoted} ADD ${text} NOT VALID;` },
      validation: {
        entry: { ...entry, sql: `ALTER DOMAIN ${quoted} VALIDATE CONSTRAINT ${constraint.text};` },
        table: name,
        constraint: identifierName(constraint),
      },
    };
  });
  let kept = create.text;
  for (const { tokens } of late.toReversed())
    kept = kept.slice(0, tokens[0]!.start).trimEnd() + kept.slice(tokens.at(-1)!.end);
  const statements = [kept, ...others.map(({ text }) => text)];
  return { domain: { ...domain, sql: statements.map((text) => `${text};`).join("\n\n") }, checks };
}

/** `CONSTRAINT name ...` at the end of CREATE DOMAIN, one after another without commas. */
function domainConstraints({ text, tokens }: Statement): TableElement[] {
  let depth = 0;
  const starts = tokens.flatMap((_, index) => {
    if (follows(tokens, index, "(")) depth++;
    if (follows(tokens, index, ")")) depth--;
    return depth === 0 && follows(tokens, index, "CONSTRAINT") ? [index] : [];
  });
  return starts.map((start, position) => {
    const own = tokens.slice(start, starts[position + 1]);
    return { tokens: own, text: text.slice(own[0]!.start, own.at(-1)!.end) };
  });
}

/** Whether a comment is on one of these constraints, and has to wait for it. */
export function isCommentOn(entry: Entry, constraints: ReadonlySet<string>): boolean {
  if (entry.type !== "COMMENT" || !entry.name.startsWith("CONSTRAINT ")) return false;
  const [, , , name, , ...relation] = tokenize(entry.sql, 9);
  const table = relationAt({ tokens: relation }, follows(relation, 0, "DOMAIN") ? 1 : 0);
  return name !== undefined && table !== undefined && constraints.has(constraintKey(table, identifierName(name)));
}

export const constraintKey = ({ schema, name }: RelationName, constraint: string): string =>
  JSON.stringify([schema, name, constraint]);

/** What answers otherwise at another moment, or to another role: key words, and functions. */
const changingWord =
  /^(current_(catalog|date|role|schema|time|timestamp|user)|local(time|timestamp)|session_user|user)$/i;
const changingCall = /^(now|age|current_setting|(clock|statement|transaction)_timestamp)$/i;

function isLateCheck({ tokens }: TableElement, isUsers: (routine: RelationName) => boolean): boolean {
  if (!follows(tokens, 0, "CONSTRAINT") || !follows(tokens, 2, "CHECK", "(") || isNotChecked(tokens.slice(-2)))
    return false;
  const isChanging = ({ kind, text }: Token, index: number): boolean =>
    kind === "word" && (changingWord.test(text) || (changingCall.test(text) && follows(tokens, index + 1, "(")));
  return callsAny({ tokens }, isUsers) || tokens.some(isChanging);
}

/** Whether a statement calls a function, or uses an operator, that the database brings along. */
export function callsAny({ tokens }: Pick<Statement, "tokens">, isUsers: (routine: RelationName) => boolean): boolean {
  return tokens.some((_, index) => {
    if (follows(tokens, index, "OPERATOR", "(")) return !follows(tokens, index + 2, "PG_CATALOG");
    const called = follows(tokens, index + 3, "(") ? relationAt({ tokens }, index) : undefined;
    return called !== undefined && isUsers(called);
  });
}

/** The function that an entry makes, by `CREATE FUNCTION schema.name(`. */
export const createdRoutine = ({ type, sql }: Entry): RelationName | undefined =>
  type === "FUNCTION" ? relationAt({ tokens: tokenize(sql, 5) }, 2) : undefined;
