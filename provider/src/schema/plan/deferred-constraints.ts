import type { Entry } from "../sql/toc-entries.js";
import type { RelationName } from "../../postgres/identifiers.js";
import { type Token, follows, identifierName, tokenize } from "../sql/tokenize.js";
import { type Statement, relationAt, splitStatements } from "../sql/statements.js";
import { type TableElement, createdRelationAt, elementsOf, withoutElements } from "./table-elements.js";

/** The validation of a constraint that was added NOT VALID. */
export interface Validation {
  /** ALTER TABLE ... VALIDATE CONSTRAINT, with the constraint's ID. */
  readonly entry: Entry;
  readonly table: RelationName;
  readonly constraint: string;
}

export interface DeferredConstraint {
  /** Adds the constraint NOT VALID, without checking rows. */
  readonly added: Entry;
  readonly validation: Validation;
}

/**
 * Splits the creation of a foreign key into adding and validating it. Undefined if it is not to be validated (NOT VALID on the
 * source, NOT ENFORCED). Also undefined if a side is partitioned: before 18, such a key cannot be NOT VALID, or stays NOT VALID
 * on partitions.
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
  // pg_dump omits ONLY for partitioned tables.
  if (!table || !name || !follows(tokens, 0, "ALTER", "TABLE", "ONLY")) return undefined;
  const references = tokens.findIndex((_, index) => follows(tokens, index, "REFERENCES"));
  const referenced = relationAt(add, references + 1);
  if (!referenced || isPartitioned(referenced) || isNotChecked(tokens)) return undefined;
  return {
    added: { ...entry, sql: `${text} NOT VALID;` },
    validation: validationOf(entry, `ONLY ${quotedRelation(add, 3)}`, table, name),
  };
}

/** NOT VALID or NOT ENFORCED at the end of a constraint's definition. */
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
 * Separates a table from its checks with functions or values that may depend on other rows, the time or the user.
 * Otherwise they would be evaluated for each copied row, while tables that their functions read may still be empty.
 *
 * @param isUsers whether the dump contains this function
 */
export function separateDeferredChecks(
  table: Entry,
  isUsers: (routine: RelationName) => boolean,
): { readonly table: Entry; readonly checks: readonly DeferredConstraint[] } {
  if (table.type !== "TABLE" || !table.sql.includes(" CHECK (")) return { table, checks: [] };
  const [create, ...others] = splitStatements(table.sql);
  const relation = create && createdRelationAt(create);
  if (!create || relation === undefined) return { table, checks: [] };
  const deferred = elementsOf(create).filter((element) => isDeferredCheck(element, isUsers));
  if (deferred.length === 0) return { table, checks: [] };
  const quoted = quotedRelation(create, relation);
  const checks = deferred.map(({ tokens, text }): DeferredConstraint => {
    const name = `${table.name} ${identifierName(tokens[1]!)}`;
    // The check has no OIDs of its own in the dump.
    const entry = { ...table, classOid: 0, oid: 0, dependencies: [table.id], type: "CHECK CONSTRAINT", name };
    return {
      // Without ONLY, because tables that inherit from this one inherit the constraint.
      added: { ...entry, sql: `ALTER TABLE ${quoted} ADD ${text} NOT VALID;` },
      validation: validationOf(entry, quoted, relationAt(create, relation)!, tokens[1]!),
    };
  });
  const kept = [withoutElements(create, deferred), ...others.map(({ text }) => text)];
  return { table: { ...table, sql: kept.map((text) => `${text};`).join("\n\n") }, checks };
}

/**
 * Separates a domain from its checks that may change their result, because their functions may read tables that are
 * filled later.
 *
 * @param isInside whether arrays or composite types use the domain. The server validates none of their values later, so the
 * checks must exist from the start
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
  const deferred = domainConstraints(create).filter((element) => isDeferredCheck(element, isUsers));
  const quoted = quotedRelation(create, 2);
  if (deferred.length === 0 || isInside(quoted)) return { domain, checks: [] };
  const checks = deferred.map(({ tokens, text }): DeferredConstraint => {
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
  for (const { tokens } of deferred.toReversed())
    kept = kept.slice(0, tokens[0]!.start).trimEnd() + kept.slice(tokens.at(-1)!.end);
  const statements = [kept, ...others.map(({ text }) => text)];
  return { domain: { ...domain, sql: statements.map((text) => `${text};`).join("\n\n") }, checks };
}

/** `CONSTRAINT name ...` at the end of CREATE DOMAIN, repeated without commas. */
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

/** Whether a comment belongs to one of these constraints, and has to be created after it. */
export function isCommentOn(entry: Entry, constraints: ReadonlySet<string>): boolean {
  if (entry.type !== "COMMENT" || !entry.name.startsWith("CONSTRAINT ")) return false;
  const [, , , name, , ...relation] = tokenize(entry.sql, 9);
  const table = relationAt({ tokens: relation }, follows(relation, 0, "DOMAIN") ? 1 : 0);
  return name !== undefined && table !== undefined && constraints.has(constraintKey(table, identifierName(name)));
}

/**
 * The plan for a copy in which rows of some tables are still missing. It omits the foreign keys that involve such a table. It also
 * omits indexes that call functions and validations of checks, because their functions may read any table. Comments and
 * attachments of what is omitted are omitted, too. All of them follow when the last table has its rows.
 *
 * @param isIncomplete whether rows of a table are missing
 */
export function withoutWaitingEntries<
  Plan extends {
    readonly after: readonly Entry[];
    readonly deferredBuilds: readonly { readonly entry: Entry }[];
    readonly validations: readonly Validation[];
  },
>(plan: Plan, isIncomplete: (table: RelationName) => boolean): Plan {
  const waits = (entry: Entry): boolean => foreignKeyTables(entry).some(isIncomplete);
  const waiting = plan.after.filter(waits);
  const keys = new Set(waiting.flatMap(foreignKeyName));
  const needsBuild = dependentsOf(plan.deferredBuilds.map(({ entry }) => entry));
  return {
    ...plan,
    deferredBuilds: [],
    after: plan.after.filter((entry) => !waiting.includes(entry) && !isCommentOn(entry, keys) && !needsBuild(entry)),
    validations: plan.validations.filter(
      ({ entry, table, constraint }) => isForeignKey(entry) && !keys.has(constraintKey(table, constraint)),
    ),
  };
}

/** Whether an entry is a comment on one of these builds, or attaches one of these indexes. */
function dependentsOf(builds: readonly Entry[]): (entry: Entry) => boolean {
  const ids = new Set(builds.map(({ id }) => id));
  const nameOf = ({ schema, name }: Entry): string => JSON.stringify([schema, name]);
  const indexes = new Set(builds.filter(({ type }) => type === "INDEX").map(nameOf));
  // pg_dump lists no dependencies for an attachment, and names it after the index.
  return (entry) =>
    entry.type === "INDEX ATTACH" ? indexes.has(nameOf(entry)) : entry.dependencies.some((id) => ids.has(id));
}

const isForeignKey = ({ type }: Entry): boolean => type === "FK CONSTRAINT";

/** The table of a foreign key and the table that it references; empty for other entries. */
export function foreignKeyTables(entry: Entry): RelationName[] {
  if (!isForeignKey(entry)) return [];
  const tokens = tokenize(entry.sql);
  const references = tokens.findIndex((_, index) => follows(tokens, index, "REFERENCES"));
  return [relationAt({ tokens }, tableAt(tokens)), relationAt({ tokens }, references + 1)].filter(
    (table) => table !== undefined,
  );
}

/** From `ALTER TABLE [ONLY] schema.table ADD CONSTRAINT name FOREIGN KEY ...`. */
function foreignKeyName({ sql }: Entry): string[] {
  const tokens = tokenize(sql, 9);
  const at = tableAt(tokens);
  const table = relationAt({ tokens }, at);
  const name = tokens[at + 5];
  return table && name ? [constraintKey(table, identifierName(name))] : [];
}

const tableAt = (tokens: readonly Token[]): number => (follows(tokens, 2, "ONLY") ? 3 : 2);

export const constraintKey = ({ schema, name }: RelationName, constraint: string): string =>
  JSON.stringify([schema, name, constraint]);

/** Key words and functions whose results depend on the time or the role. */
const changingWord =
  /^(current_(catalog|date|role|schema|time|timestamp|user)|local(time|timestamp)|session_user|user)$/i;
const changingCall = /^(now|age|current_setting|(clock|statement|transaction)_timestamp)$/i;

function isDeferredCheck({ tokens }: TableElement, isUsers: (routine: RelationName) => boolean): boolean {
  if (!follows(tokens, 0, "CONSTRAINT") || !follows(tokens, 2, "CHECK", "(") || isNotChecked(tokens.slice(-2)))
    return false;
  const isChanging = ({ kind, text }: Token, index: number): boolean =>
    kind === "word" && (changingWord.test(text) || (changingCall.test(text) && follows(tokens, index + 1, "(")));
  return callsAny({ tokens }, isUsers) || tokens.some(isChanging);
}

/** Whether a statement calls a function, or uses an operator, of the database. */
export function callsAny({ tokens }: Pick<Statement, "tokens">, isUsers: (routine: RelationName) => boolean): boolean {
  return tokens.some((_, index) => {
    if (follows(tokens, index, "OPERATOR", "(")) return !follows(tokens, index + 2, "PG_CATALOG");
    const called = follows(tokens, index + 3, "(") ? relationAt({ tokens }, index) : undefined;
    return called !== undefined && isUsers(called);
  });
}

/** The function that an entry creates, from `CREATE FUNCTION schema.name(`. */
export const createdRoutine = ({ type, sql }: Entry): RelationName | undefined =>
  type === "FUNCTION" ? relationAt({ tokens: tokenize(sql, 5) }, 2) : undefined;
