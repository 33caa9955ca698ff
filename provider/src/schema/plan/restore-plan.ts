import type { RelationName } from "../../postgres/identifiers.js";
import { sourceObjectPrefix } from "../../cdc/model/names.js";
import type { Entry } from "../sql/toc-entries.js";
import { type KeyElement, keyElement, keyThroughIndex } from "./key-constraints.js";
import {
  type DeferredConstraint,
  type Validation,
  callsAny,
  constraintKey,
  createdRoutine,
  isCommentOn,
  deferredForeignKey,
  separateDeferredChecks,
  separateDeferredDomainChecks,
} from "./deferred-constraints.js";
import { addExclusionsToTrees } from "./partitioned-exclusions.js";
import { follows, identifierName, tokenize } from "../sql/tokenize.js";
import { type Statement, newOwner, relationAt, splitStatements } from "../sql/statements.js";
import { withElements } from "./table-elements.js";

/** An index, key, exclusion constraint or statistics object of one ordinary table. */
export interface Build {
  readonly entry: Entry;
  readonly table: RelationName;
}

/**
 * What to run when. Every entry of the dump is in one list; its change of owner and its FORCE ROW LEVEL SECURITY are
 * taken out of it and are entries of their own in `handover` (types `TABLE OWNER`, `SCHEMA OWNER`, ..., and `ROW
 * SECURITY`; with its id). A key is a build and, where it takes the built index over, as a large table's does, an entry
 * of `after`; a small table is made with its keys.
 *
 * - `before` keeps the dump's order and needs nothing else. Rows can be copied once it has run.
 * - A build needs only `before` and its own table's rows: builds can run in any order and side by side.
 * - A late build calls functions of the database, which may read any table: it needs `before` and all rows.
 * - `after` keeps the dump's order and needs `before` and all builds.
 * - A validation needs `after`, and no two of a table can run at the same time.
 * - `firing` is what would fire for each change that is applied, or check it: foreign keys, triggers and rules. It is kept
 *   back where asked for, and part of `after` else; its own validations follow it. It comes after the last change.
 * - `handover` needs all of the above. Until it runs, everything belongs to the role that restores, which may therefore
 *   read, write and change it; so it comes after verification and, online, after the last change was applied.
 */
export interface RestorePlan {
  readonly before: readonly Entry[];
  readonly builds: readonly Build[];
  readonly lateBuilds: readonly Build[];
  readonly after: readonly Entry[];
  readonly validations: readonly Validation[];
  /** Whether `firing` was asked for, even where there is none. */
  readonly deferTriggersAndForeignKeys: boolean;
  readonly firing: readonly Entry[];
  readonly firingValidations: readonly Validation[];
  readonly handover: readonly Entry[];
  /** In the order in which they can be refreshed. */
  readonly materializedViews: readonly RelationName[];
}

/** The kinds that pg_dump puts behind the data; the first of them ends the part before it. */
const afterData: ReadonlySet<string> = new Set([
  "CHECK CONSTRAINT",
  "CONSTRAINT",
  "DEFAULT ACL",
  "EVENT TRIGGER",
  "FK CONSTRAINT",
  "INDEX",
  "INDEX ATTACH",
  "POLICY",
  "PUBLICATION",
  "PUBLICATION TABLE",
  "PUBLICATION TABLES IN SCHEMA",
  "ROW SECURITY",
  "RULE",
  "STATISTICS",
  "SUBSCRIPTION",
  "SUBSCRIPTION TABLE",
  "TRIGGER",
]);

const buildable: ReadonlySet<string> = new Set(["CONSTRAINT", "INDEX", "STATISTICS"]);

export interface PlanOptions {
  /** Tables with so few rows that they may come into a key as well as a key be built over them; none unless told. */
  readonly isSmall?: (table: RelationName) => boolean;
  /** Where changes cannot be applied as in a replica, which fires nothing: see {@link RestorePlan}. */
  readonly deferTriggersAndForeignKeys?: boolean;
}

/** The publications of a migration itself are the source's alone, and in no list. */
export function planRestore(
  entries: readonly Entry[],
  { deferTriggersAndForeignKeys = false, isSmall = () => false }: PlanOptions = {},
): RestorePlan {
  const { remaining, ownership } = separateOwnership(
    addExclusionsToTrees(entries.filter((entry) => !isOwnPublication(entry))),
  );
  const isHandedOver = (entry: Entry): boolean => handoverRank(entry) !== undefined;
  const objects = remaining.filter((entry) => !isHandedOver(entry));
  const routines = new Set(objects.flatMap((entry) => createdRoutine(entry) ?? []).map(keyOf));
  const isUsers = (called: RelationName): boolean => routines.has(keyOf(called));
  const boundary = objects.findIndex((entry) => afterData.has(entry.type));
  const preData = boundary < 0 ? objects : objects.slice(0, boundary);
  const { before: unkeyed, checks, comments } = separateChecks(preData, isUsers);
  const { before, postData } = withSmallKeys(unkeyed, boundary < 0 ? [] : objects.slice(boundary), isSmall);
  const { builds, lateBuilds, after } = separateBuilds(before, postData, { isUsers, isSmall });
  const foreignKeys = separateForeignKeys(before, after);
  const firing = new Set(deferTriggersAndForeignKeys ? firingOf(foreignKeys.after) : []);
  // Where a table and one that inherits it both have a check, the latter's comes first and takes the former's in.
  const lateChecks = checks.map(({ added }) => added).reverse();
  return {
    before,
    builds,
    lateBuilds,
    after: [...lateChecks, ...comments, ...foreignKeys.after.filter((entry) => !firing.has(entry))],
    validations: [
      ...checks.map(({ validation }) => validation),
      ...(deferTriggersAndForeignKeys ? [] : foreignKeys.validations),
    ],
    deferTriggersAndForeignKeys,
    firing: [...firing],
    firingValidations: deferTriggersAndForeignKeys ? foreignKeys.validations : [],
    handover: inHandoverOrder([...ownership, ...remaining.filter(isHandedOver)]),
    // A materialized view follows what it reads in the dump, so creation order is refresh order.
    materializedViews: objects.filter((entry) => entry.type === "MATERIALIZED VIEW").flatMap(createdRelation),
  };
}

function separateChecks(
  entries: readonly Entry[],
  isUsers: (routine: RelationName) => boolean,
): { before: Entry[]; checks: DeferredConstraint[]; comments: Entry[] } {
  const isInside = (domain: string): boolean =>
    entries.some(({ type, sql }) => (type === "TYPE" && sql.includes(domain)) || sql.includes(`${domain}[]`));
  const separated = entries.map((entry) => {
    if (entry.type !== "DOMAIN") return separateDeferredChecks(entry, isUsers);
    const { domain, checks } = separateDeferredDomainChecks(entry, isUsers, isInside);
    return { table: domain, checks };
  });
  const checks = separated.flatMap((one) => one.checks);
  const names = new Set(checks.map(({ validation: { table, constraint } }) => constraintKey(table, constraint)));
  const tables = separated.map(({ table }) => table);
  const isLate = (entry: Entry): boolean => isCommentOn(entry, names);
  return { before: tables.filter((entry) => !isLate(entry)), checks, comments: tables.filter(isLate) };
}

const firingTypes: ReadonlySet<string> = new Set(["FK CONSTRAINT", "RULE", "TRIGGER"]);

/** With the comments on them. */
function firingOf(entries: readonly Entry[]): Entry[] {
  const foreignKeys = new Set(entries.filter(({ type }) => type === "FK CONSTRAINT").flatMap(addedConstraint));
  return entries.filter((entry) => firingTypes.has(entry.type) || isCommentOn(entry, foreignKeys));
}

/** The constraint that `ALTER TABLE [ONLY] x.y ADD CONSTRAINT z` makes, as {@link constraintKey}. */
function addedConstraint({ sql }: Entry): string[] {
  const tokens = tokenize(sql, 9);
  const at = follows(tokens, 2, "ONLY") ? 3 : 2;
  const table = relationAt({ tokens }, at);
  const name = tokens[at + 5];
  return table && name ? [constraintKey(table, identifierName(name))] : [];
}

function separateForeignKeys(
  before: readonly Entry[],
  entries: readonly Entry[],
): { after: Entry[]; validations: Validation[] } {
  const partitioned = new Set(before.filter(isPartitionedTable).flatMap(createdRelation).map(keyOf));
  const validations: Validation[] = [];
  const after = entries.map((entry) => {
    const late =
      entry.type === "FK CONSTRAINT" ? deferredForeignKey(entry, (table) => partitioned.has(keyOf(table))) : undefined;
    if (late) validations.push(late.validation);
    return late?.added ?? entry;
  });
  return { after, validations };
}

/** A publication, what it has, or a comment on it, in which the replica identities that it has changed are kept. */
export function isOwnPublication({ type, name: title, sql }: Entry): boolean {
  const isComment = type === "COMMENT" && title.startsWith("PUBLICATION ");
  if (!isComment && !type.startsWith("PUBLICATION")) return false;
  const name = splitStatements(sql)[0]?.tokens[isComment ? 3 : 2];
  return name !== undefined && identifierName(name).startsWith(sourceObjectPrefix);
}

function separateOwnership(entries: readonly Entry[]): { remaining: Entry[]; ownership: Entry[] } {
  const remaining: Entry[] = [];
  const ownership: Entry[] = [];
  for (const entry of entries) {
    const statements = ownershipMark.test(entry.sql) ? splitStatements(entry.sql) : [];
    const kept = statements.filter((statement) => !isOwnership(statement));
    for (const statement of statements.filter(isOwnership)) {
      const type = newOwner(statement) === undefined ? "ROW SECURITY" : `${entry.type} OWNER`;
      ownership.push({ ...entry, type, sql: `${statement.text};` });
    }
    if (kept.length === statements.length) remaining.push(entry);
    else if (kept.length > 0) remaining.push({ ...entry, sql: kept.map(({ text }) => `${text};`).join("\n") });
  }
  return { remaining, ownership };
}

/** Spares the other entries the work of being split. */
const ownershipMark = / OWNER TO | FORCE ROW LEVEL SECURITY/;

const isOwnership = (statement: Statement): boolean =>
  newOwner(statement) !== undefined ||
  follows(statement.tokens, statement.tokens.length - 4, "FORCE", "ROW", "LEVEL", "SECURITY");

/**
 * Row security first, while the tables are still ours, and triggers and rules that fire in a replica too. A table's
 * change of owner takes its sequences along, which therefore follow; a schema's comes when nothing in it is left to
 * change; privileges name the owner, so they come after all owners; an event trigger would fire on every statement
 * before it.
 */
function handoverRank({ type, name, sql }: Entry): number | undefined {
  if (type === "ROW SECURITY") return 0;
  if ((type === "TRIGGER" || type === "RULE") && firesInReplica.test(sql)) return 0;
  // Of any trigger: a comment does not tell whether its trigger is one of these.
  if (type === "COMMENT" && /^(TRIGGER|RULE) /.test(name)) return 0;
  if (type === "SEQUENCE OWNER") return 2;
  if (type === "SCHEMA OWNER") return 3;
  if (type === "ACL" || type === "DEFAULT ACL") return 4;
  if (type.startsWith("EVENT TRIGGER") || (type === "COMMENT" && name.startsWith("EVENT TRIGGER "))) return 5;
  return type.endsWith(" OWNER") ? 1 : undefined;
}

/** It would fire for changes that are applied, whose own effects come by the stream: everything would happen twice. */
const firesInReplica = /^ALTER TABLE .* ENABLE (ALWAYS|REPLICA) (TRIGGER|RULE) /m;

function inHandoverOrder(entries: readonly Entry[]): Entry[] {
  const rank = (entry: Entry): number => handoverRank(entry) ?? 1;
  // Array.prototype.sort is stable: within a rank the dump's order stays.
  return [...entries].sort((left, right) => rank(left) - rank(right));
}

/**
 * To make a table with its keys takes the server less than to alter it for each, and no unit has to be kept of it. But
 * CREATE TABLE takes keys of the same columns for one, of which it makes the first, and calls what an heir inherits its
 * own.
 */
function withSmallKeys(
  before: readonly Entry[],
  postData: readonly Entry[],
  isSmall: (table: RelationName) => boolean,
): { before: readonly Entry[]; postData: readonly Entry[] } {
  const keys = new Map<string, { entry: Entry; element: KeyElement }[]>();
  for (const entry of postData) {
    const table = entry.type === "CONSTRAINT" ? tableOf(entry, splitStatements(entry.sql)[0]) : undefined;
    const element = table && isSmall(table) ? keyElement(entry) : undefined;
    if (!table || !element) continue;
    const others = keys.get(keyOf(table)) ?? [];
    if (others.some((other) => other.element.columns === element.columns)) continue;
    keys.set(keyOf(table), [...others, { entry, element }]);
  }
  const made = new Set<Entry>();
  const keyed = before.map((table) => {
    const mayHave = isOrdinaryTable(table) && !isHeir(table);
    const own = mayHave ? createdRelation(table).flatMap((name) => keys.get(keyOf(name)) ?? []) : [];
    const [create, ...others] = own.length > 0 ? splitStatements(table.sql) : [];
    const elements = own.map(({ element }) => element.text);
    const text = create && withElements(create, elements);
    if (text === undefined) return table;
    for (const { entry } of own) made.add(entry);
    return { ...table, sql: [text, ...others.map((other) => other.text)].map((sql) => `${sql};`).join("\n\n") };
  });
  return { before: keyed, postData: postData.filter((entry) => !made.has(entry)) };
}

function separateBuilds(
  before: readonly Entry[],
  rest: readonly Entry[],
  { isUsers, isSmall }: Pick<Required<PlanOptions>, "isSmall"> & { isUsers: (routine: RelationName) => boolean },
): { builds: Build[]; lateBuilds: Build[]; after: Entry[] } {
  const ordinaryTables = new Set(before.filter(isOrdinaryTable).flatMap(createdRelation).map(keyOf));
  const builds: Build[] = [];
  const lateBuilds: Build[] = [];
  const after: Entry[] = [];
  const postponedRoutines: string[] = [];
  for (const entry of rest) {
    const statements = buildable.has(entry.type) ? splitStatements(entry.sql) : [];
    const table = tableOf(entry, statements[0]);
    const isBound = postponedRoutines.some((name) => entry.sql.includes(name));
    if (table && ordinaryTables.has(keyOf(table)) && !isBound) {
      const key = entry.type === "CONSTRAINT" && !isSmall(table) ? keyThroughIndex(entry) : undefined;
      const isLate = statements.some((statement) => callsAny(statement, isUsers));
      (isLate ? lateBuilds : builds).push({ entry: key?.index ?? entry, table });
      if (key) after.push(key.constraint);
    } else after.push(entry);
    if (routine.has(entry.type)) postponedRoutines.push(routineName(entry));
  }
  return { builds, lateBuilds, after };
}

/**
 * A routine that needs a primary key, by way of a view, comes behind it in the dump, and what uses the routine behind that.
 * pg_dump does not write down such dependencies, so that mentioning its name has to count as one.
 */
const routine: ReadonlySet<string> = new Set(["AGGREGATE", "FUNCTION", "PROCEDURE"]);

const routineName = ({ name }: Entry): string => name.slice(0, name.indexOf("("));

const keyOf = ({ schema, name }: RelationName): string => JSON.stringify([schema, name]);

/** A partitioned table holds no rows: its indexes only gather its partitions' and come with them, in `after`. */
const isOrdinaryTable = (entry: Entry): boolean => entry.type === "TABLE" && !isPartitionedTable(entry);

const isPartitionedTable = (entry: Entry): boolean => entry.type === "TABLE" && saysOutside(entry, "PARTITION BY");

const isHeir = (entry: Entry): boolean => saysOutside(entry, "INHERITS");

/** Whether CREATE TABLE says so outside of its list. */
function saysOutside({ sql }: Entry, words: string): boolean {
  // Few tables have the words at all, so that few have to be read.
  if (!sql.includes(words)) return false;
  const tokens = splitStatements(sql)[0]?.tokens ?? [];
  let depth = 0;
  return tokens.some((_, index) => {
    if (follows(tokens, index, "(")) depth++;
    if (follows(tokens, index, ")")) depth--;
    return depth === 0 && follows(tokens, index, ...words.split(" "));
  });
}

/** The relation that `CREATE [UNLOGGED] TABLE x.y` or `CREATE MATERIALIZED VIEW x.y` makes. */
function createdRelation({ sql }: Entry): RelationName[] {
  const tokens = tokenize(sql, 6);
  const kind = tokens.findIndex((_, index) => follows(tokens, index, "TABLE") || follows(tokens, index, "VIEW"));
  const relation = relationAt({ tokens }, kind + 1);
  return relation ? [relation] : [];
}

/** The table that an index, a table constraint or a statistics object is on; undefined for a domain's constraint. */
function tableOf(entry: Entry, statement: Statement | undefined): RelationName | undefined {
  if (!statement) return undefined;
  const { tokens } = statement;
  if (follows(tokens, 0, "ALTER", "TABLE")) return relationAt(statement, follows(tokens, 2, "ONLY") ? 3 : 2);
  // The table follows the first ON of an index and the last FROM of a statistics object.
  const key = entry.type === "INDEX" ? "ON" : "FROM";
  const positions = tokens.flatMap((_, index) => (follows(tokens, index, key) ? [index] : []));
  const position = entry.type === "INDEX" ? positions[0] : positions.at(-1);
  if (position === undefined) return undefined;
  return relationAt(statement, follows(tokens, position + 1, "ONLY") ? position + 2 : position + 1);
}
