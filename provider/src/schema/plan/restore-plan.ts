import { type RelationName, relationKey } from "../../postgres/identifiers.js";
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
import { withNeededOwners } from "./owner-privileges.js";
import { separateDefiner } from "./security-definer.js";
import { follows, identifierName, tokenize } from "../sql/tokenize.js";
import { type Statement, newOwner, relationAt, splitStatements } from "../sql/statements.js";
import { withElements } from "./table-elements.js";

/** An index, key, exclusion constraint or statistics object of one ordinary table. */
export interface Build {
  readonly entry: Entry;
  readonly table: RelationName;
}

/**
 * The order of a restore. Each entry of the dump is in one list. Its change of owner, its FORCE ROW LEVEL SECURITY and its
 * SECURITY DEFINER are separate entries with the same ID in `handover`. Their types are `TABLE OWNER`, `SCHEMA OWNER`, ...,
 * `ROW SECURITY`, `FUNCTION DEFINER` and `PROCEDURE DEFINER`.
 * A key of a large table is a build, and an entry of `after` that uses the built index. A small table is created with its
 * keys.
 *
 * - `before` is in the dump's order and requires nothing else. After it, rows can be copied.
 * - A build requires `before` and the rows of its own table. Builds can run in any order and in parallel.
 * - A deferred build calls functions of the database, which may read any table. It requires `before` and all rows.
 * - `after` is in the dump's order, and requires `before` and all builds.
 * - A validation requires `after`. Two validations of one table cannot run at the same time.
 * - `firing` contains foreign keys, triggers and rules, which would fire for each applied change. They are deferred
 * until after the last change if requested, otherwise part of `after`. Their validations follow them.
 * - `handover` requires all others. Until then, the restoring role owns all objects and can read, write and alter them.
 * It follows verification and, online, the last applied change.
 */
export interface RestorePlan {
  readonly before: readonly Entry[];
  readonly builds: readonly Build[];
  readonly deferredBuilds: readonly Build[];
  readonly after: readonly Entry[];
  readonly validations: readonly Validation[];
  /** Whether deferring was requested, even if `firing` is empty. */
  readonly deferTriggersAndForeignKeys: boolean;
  readonly firing: readonly Entry[];
  readonly firingValidations: readonly Validation[];
  readonly handover: readonly Entry[];
  /** In the order of their refreshes. */
  readonly materializedViews: readonly RelationName[];
}

/** The kinds that pg_dump writes after the data. The first of them ends the part before the data. */
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
  /** Tables with few rows, whose keys exist before the copy. By default there are none. */
  readonly isSmall?: (table: RelationName) => boolean;
  /**
   * For targets without session_replication_role, where applied changes would fire triggers: see {@link RestorePlan}.
   */
  readonly deferTriggersAndForeignKeys?: boolean;
  /** Owners on the source whose code may run with the privileges of the restoring role. By default there are none. */
  readonly isTrusted?: (owner: string) => boolean;
}

/** Plans a restore. Publications of migrations are not part of it. */
export function planRestore(
  entries: readonly Entry[],
  { deferTriggersAndForeignKeys = false, isSmall = () => false, isTrusted = () => false }: PlanOptions = {},
): RestorePlan {
  const wanted = addExclusionsToTrees(entries.filter((entry) => !isOwnPublication(entry)));
  const { remaining, ownership } = separateOwnership(withNeededOwners(wanted, isTrusted), isTrusted);
  const isHandedOver = (entry: Entry): boolean => handoverRank(entry) !== undefined;
  const objects = remaining.filter((entry) => !isHandedOver(entry));
  const routines = new Set(objects.flatMap((entry) => createdRoutine(entry) ?? []).map(relationKey));
  const isUsers = (called: RelationName): boolean => routines.has(relationKey(called));
  const boundary = objects.findIndex((entry) => afterData.has(entry.type));
  const preData = boundary < 0 ? objects : objects.slice(0, boundary);
  const { before: unkeyed, checks, comments } = separateChecks(preData, isUsers);
  const { before, postData } = withSmallKeys(unkeyed, boundary < 0 ? [] : objects.slice(boundary), isSmall);
  const { builds, deferredBuilds, after } = separateBuilds(before, postData, { isUsers, isSmall });
  const foreignKeys = separateForeignKeys(before, after);
  const firing = new Set(deferTriggersAndForeignKeys ? firingOf(foreignKeys.after) : []);
  // If a table and its child have the same check, the child's is added first, and the parent's merges with it.
  const deferredChecks = checks.map(({ added }) => added).reverse();
  return {
    before,
    builds,
    deferredBuilds,
    after: [...deferredChecks, ...comments, ...foreignKeys.after.filter((entry) => !firing.has(entry))],
    validations: [
      ...checks.map(({ validation }) => validation),
      ...(deferTriggersAndForeignKeys ? [] : foreignKeys.validations),
    ],
    deferTriggersAndForeignKeys,
    firing: [...firing],
    firingValidations: deferTriggersAndForeignKeys ? foreignKeys.validations : [],
    handover: inHandoverOrder([...ownership, ...remaining.filter(isHandedOver)]),
    // A materialized view follows the relations that it reads, so that the order of creation is the order of refreshes.
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
  const isDeferred = (entry: Entry): boolean => isCommentOn(entry, names);
  return { before: tables.filter((entry) => !isDeferred(entry)), checks, comments: tables.filter(isDeferred) };
}

const firingTypes: ReadonlySet<string> = new Set(["FK CONSTRAINT", "RULE", "TRIGGER"]);

/** Foreign keys, triggers and rules, with their comments. */
function firingOf(entries: readonly Entry[]): Entry[] {
  const foreignKeys = new Set(entries.filter(({ type }) => type === "FK CONSTRAINT").flatMap(addedConstraint));
  return entries.filter((entry) => firingTypes.has(entry.type) || isCommentOn(entry, foreignKeys));
}

/** The {@link constraintKey} of the constraint in `ALTER TABLE [ONLY] x.y ADD CONSTRAINT z`. */
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
  const partitioned = new Set(before.filter(isPartitionedTable).flatMap(createdRelation).map(relationKey));
  const validations: Validation[] = [];
  const after = entries.map((entry) => {
    const deferred =
      entry.type === "FK CONSTRAINT"
        ? deferredForeignKey(entry, (table) => partitioned.has(relationKey(table)))
        : undefined;
    if (deferred) validations.push(deferred.validation);
    return deferred?.added ?? entry;
  });
  return { after, validations };
}

/**
 * Whether an entry is a migration's publication, its tables, or its comment, which contains the changed replica
 * identities.
 */
export function isOwnPublication({ type, name: title, sql }: Entry): boolean {
  const isComment = type === "COMMENT" && title.startsWith("PUBLICATION ");
  if (!isComment && !type.startsWith("PUBLICATION")) return false;
  const name = splitStatements(sql)[0]?.tokens[isComment ? 3 : 2];
  return name !== undefined && identifierName(name).startsWith(sourceObjectPrefix);
}

function separateOwnership(
  entries: readonly Entry[],
  isTrusted: (owner: string) => boolean,
): { remaining: Entry[]; ownership: Entry[] } {
  const remaining: Entry[] = [];
  const ownership: Entry[] = [];
  for (const dumped of entries) {
    const { entry, definer } = separateDefiner(dumped, isTrusted);
    if (definer) ownership.push(definer);
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

/** Only statements that match this are parsed. */
const ownershipMark = / OWNER TO | FORCE ROW LEVEL SECURITY/;

const isOwnership = (statement: Statement): boolean =>
  newOwner(statement) !== undefined ||
  follows(statement.tokens, statement.tokens.length - 4, "FORCE", "ROW", "LEVEL", "SECURITY");

/**
 * The order of `handover`. Row security is first, while the restoring role owns the tables, together with triggers and
 * rules that fire in a replica. A table's change of owner includes its sequences, so that these follow. A schema's
 * owner changes after the schema's objects. Privileges contain the owner, so that they follow all owners. A function gets
 * its owner's privileges only after PUBLIC has lost the privilege to execute it. Event triggers are last, because they fire
 * for statements. Their owners follow them.
 */
function handoverRank({ type, name, sql }: Entry): number | undefined {
  if (type === "ROW SECURITY") return 0;
  if ((type === "TRIGGER" || type === "RULE") && firesInReplica(sql)) return 0;
  // Comments on all triggers: a comment does not show whether its trigger fires in a replica.
  if (type === "COMMENT" && /^(TRIGGER|RULE) /.test(name)) return 0;
  if (type === "SEQUENCE OWNER") return 2;
  if (type === "SCHEMA OWNER") return 3;
  if (type === "ACL" || type === "DEFAULT ACL") return 4;
  if (type.endsWith(" DEFINER")) return 5;
  if (isEventTrigger({ type, name })) return type.endsWith(" OWNER") ? 7 : 6;
  return type.endsWith(" OWNER") ? 1 : undefined;
}

/** Whether an entry is an event trigger, its owner or its comment. */
export const isEventTrigger = ({ type, name }: Pick<Entry, "type" | "name">): boolean =>
  type.startsWith("EVENT TRIGGER") || (type === "COMMENT" && name.startsWith("EVENT TRIGGER "));

/**
 * Triggers and rules that fire for applied changes. Their effects are in the stream as well, and would happen twice.
 */
const firesInReplica = (sql: string): boolean =>
  firingWords.test(sql) &&
  splitStatements(sql).some(
    ({ tokens }) =>
      follows(tokens, 0, "ALTER", "TABLE") &&
      tokens.some((_, at) =>
        ["ALWAYS", "REPLICA"].some((when) =>
          ["TRIGGER", "RULE"].some((kind) => follows(tokens, at, "ENABLE", when, kind)),
        ),
      ),
  );

/** Only statements that match this are parsed: names may contain line breaks. */
const firingWords = / ENABLE (ALWAYS|REPLICA) (TRIGGER|RULE) /;

function inHandoverOrder(entries: readonly Entry[]): Entry[] {
  const rank = (entry: Entry): number => handoverRank(entry) ?? 1;
  // Array.prototype.sort is stable: within a rank the dump's order is kept.
  return [...entries].sort((left, right) => rank(left) - rank(right));
}

/**
 * Creates small tables with their keys, which is cheaper than separate statements and needs no copy tasks. Excluded are
 * several keys on the same columns, because CREATE TABLE would merge them, and inherited columns.
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
    const others = keys.get(relationKey(table)) ?? [];
    if (others.some((other) => other.element.columns === element.columns)) continue;
    keys.set(relationKey(table), [...others, { entry, element }]);
  }
  const made = new Set<Entry>();
  const keyed = before.map((table) => {
    const mayHave = isOrdinaryTable(table) && !inheritsColumns(table);
    const own = mayHave ? createdRelation(table).flatMap((name) => keys.get(relationKey(name)) ?? []) : [];
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
): { builds: Build[]; deferredBuilds: Build[]; after: Entry[] } {
  const ordinaryTables = new Set(before.filter(isOrdinaryTable).flatMap(createdRelation).map(relationKey));
  const builds: Build[] = [];
  const deferredBuilds: Build[] = [];
  const after: Entry[] = [];
  const postponedRoutines: string[] = [];
  for (const entry of rest) {
    const statements = buildable.has(entry.type) ? splitStatements(entry.sql) : [];
    const table = tableOf(entry, statements[0]);
    const isBound = postponedRoutines.some((name) => entry.sql.includes(name));
    if (table && ordinaryTables.has(relationKey(table)) && !isBound) {
      const key = entry.type === "CONSTRAINT" && !isSmall(table) ? keyThroughIndex(entry) : undefined;
      const isDeferred = statements.some((statement) => callsAny(statement, isUsers));
      (isDeferred ? deferredBuilds : builds).push({ entry: key?.index ?? entry, table });
      if (key) after.push(key.constraint);
    } else after.push(entry);
    if (routine.has(entry.type)) postponedRoutines.push(routineName(entry));
  }
  return { builds, deferredBuilds, after };
}

/**
 * A routine may need a primary key through a view. It then follows the key in the dump, as do objects that use the
 * routine. pg_dump does not print such dependencies, so that any occurrence of its name counts.
 */
const routine: ReadonlySet<string> = new Set(["AGGREGATE", "FUNCTION", "PROCEDURE"]);

const routineName = ({ name }: Entry): string => name.slice(0, name.indexOf("("));

/** The indexes of a partitioned table combine those of its partitions, and are created with them in `after`. */
const isOrdinaryTable = (entry: Entry): boolean => entry.type === "TABLE" && !isPartitionedTable(entry);

const isPartitionedTable = (entry: Entry): boolean => entry.type === "TABLE" && hasClause(entry, "PARTITION BY");

const inheritsColumns = (entry: Entry): boolean => hasClause(entry, "INHERITS");

/** Whether CREATE TABLE contains the words outside its element list. */
function hasClause({ sql }: Entry, words: string): boolean {
  // Few tables contain the words, so that few statements are parsed.
  if (!sql.includes(words)) return false;
  const tokens = splitStatements(sql)[0]?.tokens ?? [];
  let depth = 0;
  return tokens.some((_, index) => {
    if (follows(tokens, index, "(")) depth++;
    if (follows(tokens, index, ")")) depth--;
    return depth === 0 && follows(tokens, index, ...words.split(" "));
  });
}

/** The relation created by `CREATE [UNLOGGED] TABLE x.y` or `CREATE MATERIALIZED VIEW x.y`. */
function createdRelation({ sql }: Entry): RelationName[] {
  const tokens = tokenize(sql, 6);
  const kind = tokens.findIndex((_, index) => follows(tokens, index, "TABLE") || follows(tokens, index, "VIEW"));
  const relation = relationAt({ tokens }, kind + 1);
  return relation ? [relation] : [];
}

/** The table of an index, a table constraint or a statistics object; undefined for a domain's constraint. */
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
