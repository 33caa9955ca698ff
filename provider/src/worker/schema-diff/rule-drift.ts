import type { Client } from "pg";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import {
  checkRules,
  constraints,
  domainConstraintRules,
  domainConstraints,
  foreignKeyRules,
  keyRules,
  type RuleDetails,
} from "../../schema/catalogue/kinds/relations/constraints.js";
import { indexes, indexRules, uniqueIndexRules } from "../../schema/catalogue/kinds/relations/indexes.js";
import type { ChangeRule } from "../../schema/catalogue/change-rule.js";
import { readSchema } from "../../schema/catalogue/read-schema.js";
import { isPrintedAlike, isSameDigest, objectDigest, shortDigest } from "../../schema/catalogue/digests.js";
import { type IndexRenaming, renamedPartitionIndexes, renameIndexes } from "./renamed-indexes.js";
import { dropPlaceholder, isPlaceholder, replaceKey } from "./replaced-keys.js";
import type { SchemaChange } from "./schema-change.js";
import type { TypeDrift } from "./type-drift.js";

/** A constraint of a table or a domain, or an index without a constraint. Plain JSON. */
export interface Rule {
  readonly kind: NonNullable<RuleDetails["rule"]>;
  /** The schema and the table or domain. */
  readonly schema: string;
  readonly of: string;
  readonly name: string;
  readonly digest: string;
}

/** Rules by their OIDs in pg_constraint and pg_class. */
export type Rules = Readonly<Record<string, Rule>>;

interface FoundRule extends Rule {
  readonly id: string;
  /** Whether it belongs to a rule of the table's parent. */
  readonly inherited: boolean;
  readonly refersTo: RuleDetails["refersTo"];
  /** The clause of ADD CONSTRAINT, or the statement that creates the index. */
  readonly definition: string;
}

/** The rules of the rule table for each kind of rule. */
const changeRules = {
  check: checkRules,
  domain: domainConstraintRules,
  "foreign key": foreignKeyRules,
  index: indexRules,
  key: keyRules,
  "unique index": uniqueIndexRules,
} as const;

/** Reads the source's rules, for a later {@link readRuleDrift}. */
export async function readRules(source: Client): Promise<Rules> {
  const own = (await listRules(source)).filter(({ inherited }) => !inherited);
  return Object.fromEntries(
    own.map(({ id, kind, schema, of, name, digest }) => [id, { kind, schema, of, name, digest }]),
  );
}

export interface RuleSides {
  readonly source: Client;
  readonly target: Client;
  /** Returns the target's name of a schema of the source. */
  readonly schemaOnTarget: (schema: string) => string;
  /** Whether both sides have a table, qualified and quoted as on the target. */
  readonly hasTable: (table: string) => boolean;
  /** The statements for domains use the names of {@link TypeDrift.nowCalled}. */
  readonly types: Pick<TypeDrift, "nowCalled" | "domains">;
  /** The source's rules when they were last applied to the target; undefined if they were not recorded. */
  readonly before: Rules | undefined;
  readonly followed: FollowedRules;
}

/** By the catalogue and OID of a rule on the source: those of its copy. */
export type FollowedRules = Readonly<Record<string, string>>;

export interface RuleDrift {
  readonly changes: readonly SchemaChange[];
  readonly followed: FollowedRules;
}

/**
 * Compares the rules of both sides. The OID identifies a renamed rule. Another OID with another definition identifies a rule
 * that was replaced under its name. Added checks are in the result, because a dump contains them only as a part of their
 * tables and domains. Other new rules are restored.
 */
export async function readRuleDrift(sides: RuleSides): Promise<RuleDrift> {
  const rules = await readBoth(sides);
  const followed = pairRules(rules, sides.followed);
  const renamed = renamedRules(rules, followed);
  const ended = endedRules(rules, renamed, followed);
  const keys = await replaceKeys(sides, rules, ended.replacedKeys);
  const dropped = new Set<Rule>([...ended.dropped, ...keys.dropped]);
  const kept = new Set(rules.onTarget.filter((rule) => !dropped.has(rule)).map(keyOf));
  const renamings = (isWanted: (rule: Rule) => boolean): IndexRenaming[] =>
    [...renamed].filter(([rule]) => isWanted(rule)).map(([rule, { name }]) => renamingOf(rule, name));
  const ofIndexes = renamings(isIndex);
  const formerNames = new Map(ofIndexes.map(({ schema, from, to }) => [qualify(schema, to), qualify(schema, from)]));
  const partitions = await renamedPartitionIndexes({ ...sides, formerNames });
  const placeholders = new Set([...keys.placeholders, ...unusedPlaceholders(rules, kept)]);
  const changes = [
    ...(await renameIndexes(sides.target, [...partitions, ...ofIndexes])),
    ...renamings((rule) => !isIndex(rule)).map(({ from, to, rename }) => rename(from, to)),
    ...ended.changes,
    // Keys last: foreign keys that are dropped may refer to them.
    ...keys.changes,
    ...lackingRules(sides, rules, renamed, kept).map((rule) =>
      changeOf(rule, changeRules[rule.kind].created, addStatement(rule)),
    ),
    ...[...placeholders].map((sql) => ({ rule: indexRules.temporary, tables: [], sql })),
  ];
  return { changes, followed };
}

/** Whether the rule has an index, whose name no other index of its schema may have. */
const isIndex = ({ kind }: Rule): boolean => kind === "key" || kind.endsWith("index");

const renamingOf = (rule: Rule, to: string): IndexRenaming => ({
  ...{ schema: rule.schema, from: rule.name, to },
  rename: (from, name) =>
    changeOf(rule, changeRules[rule.kind].renamed, renameStatement({ ...rule, name: from }, name)),
});

const changeOf = (of: Rule, rule: ChangeRule, sql: string): SchemaChange => ({
  rule,
  sql,
  tables: of.kind === "domain" ? [] : [qualify(of.schema, of.of)],
});

/** With the names that they have on the target after schemas and domains are renamed. */
interface BothRules {
  readonly onSource: readonly FoundRule[];
  readonly onTarget: readonly FoundRule[];
  readonly sourceByKey: ReadonlyMap<string, FoundRule>;
  readonly targetByKey: ReadonlyMap<string, FoundRule>;
  /** The source's rules when they were last applied to the target, by their OIDs. */
  readonly known: ReadonlyMap<string, Rule>;
  readonly knownByKey: ReadonlyMap<string, Rule>;
}

async function readBoth({
  source,
  target,
  schemaOnTarget,
  hasTable,
  types: { nowCalled },
  before,
}: RuleSides): Promise<BothRules> {
  const asCalledNow = <Some extends Rule>(rule: Some): Some => {
    const now = rule.kind === "domain" ? nowCalled.get(qualify(rule.schema, rule.of)) : undefined;
    return now ? { ...rule, schema: now.schema, of: now.name } : rule;
  };
  const onSource = (await listRules(source)).map((rule) => ({ ...rule, schema: schemaOnTarget(rule.schema) }));
  const onTarget = (await listRules(target))
    .map(asCalledNow)
    .filter((rule) => !rule.inherited && (rule.kind === "domain" || hasTable(qualify(rule.schema, rule.of))));
  const known = new Map(Object.entries(before ?? {}));
  return {
    onSource,
    onTarget,
    sourceByKey: new Map(onSource.map((rule) => [keyOf(rule), rule])),
    targetByKey: new Map(onTarget.map((rule) => [keyOf(rule), rule])),
    known,
    knownByKey: new Map([...known.values()].map((rule) => [keyOf(asCalledNow(rule)), rule])),
  };
}

/** Pairs rules by name that have no counterpart yet. The source may rename one again before the first name is recorded. */
function pairRules(rules: BothRules, followed: FollowedRules): FollowedRules {
  const { onSource, onTarget, targetByKey, known } = rules;
  const present = new Set(onTarget.map(({ id }) => id));
  const copies = new Set(Object.values(followed));
  return Object.fromEntries(
    onSource.flatMap((rule) => {
      const paired = followed[rule.id];
      if (paired !== undefined && present.has(paired)) return [[rule.id, paired]];
      const former = targetByKey.get(keyOf({ ...rule, name: known.get(rule.id)?.name ?? rule.name }));
      const counterpart = former ?? targetByKey.get(keyOf(rule)) ?? renamedKeyOfPartition(rules, copies, rule);
      // Its table may have another name on the target until it is renamed.
      const id = counterpart?.id ?? paired;
      return id === undefined ? [] : [[rule.id, id]];
    }),
  );
}

/** A key of a partition is recorded only with its parent's. If it was detached and renamed, only its definition identifies it. */
function renamedKeyOfPartition(
  { onTarget, sourceByKey, known, knownByKey }: BothRules,
  copies: ReadonlySet<string>,
  rule: FoundRule,
): FoundRule | undefined {
  if (rule.kind !== "key" || rule.inherited || known.has(rule.id)) return undefined;
  const isUnknown = (one: FoundRule): boolean =>
    !copies.has(one.id) && !sourceByKey.has(keyOf(one)) && !knownByKey.has(keyOf(one));
  return onTarget.find(
    (one) =>
      one.kind === "key" &&
      keyOf({ ...one, name: rule.name }) === keyOf(rule) &&
      isUnknown(one) &&
      isPrintedAlike(one.digest, rule.digest),
  );
}

/** The rules of the target that were renamed on the source, with those of the source. */
function renamedRules(
  { onSource, onTarget, sourceByKey, targetByKey }: BothRules,
  followed: FollowedRules,
): ReadonlyMap<FoundRule, FoundRule> {
  const copies = new Map(onTarget.map((rule) => [rule.id, rule]));
  return new Map(
    onSource.flatMap((rule) => {
      const counterpart = copies.get(followed[rule.id] ?? "");
      const isSameOwner = counterpart && keyOf({ ...counterpart, name: rule.name }) === keyOf(rule);
      const isOther = isSameOwner && counterpart.name !== rule.name && !targetByKey.has(keyOf(rule));
      return isOther && !sourceByKey.has(keyOf(counterpart)) ? [[counterpart, rule] as const] : [];
    }),
  );
}

interface EndedRules {
  readonly dropped: readonly FoundRule[];
  readonly changes: readonly SchemaChange[];
  /** The keys of the target, with those of the source that replaced them. */
  readonly replacedKeys: readonly (readonly [FoundRule, FoundRule])[];
}

function endedRules(
  { onTarget, sourceByKey, known, knownByKey }: BothRules,
  renamed: ReadonlyMap<FoundRule, FoundRule>,
  followed: FollowedRules,
): EndedRules {
  const copies = new Set(Object.values(followed));
  const dropped: FoundRule[] = [];
  const changes: SchemaChange[] = [];
  const replacedKeys: [FoundRule, FoundRule][] = [];
  for (const rule of onTarget.filter((one) => !renamed.has(one))) {
    const counterpart = sourceByKey.get(keyOf(rule));
    const former = knownByKey.get(keyOf(rule));
    const isRemoved = counterpart === undefined;
    const isOther =
      counterpart &&
      former &&
      !isSameDigest(former.digest, counterpart.digest) &&
      !isPrintedAlike(rule.digest, counterpart.digest);
    // Tables that have exchanged their names are copied again under these, so that foreign keys refer to the other one.
    const isReplaced =
      counterpart &&
      ((isOther && (rule.kind === "foreign key" || !known.has(counterpart.id))) || isRedirected(rule, counterpart));
    if (isReplaced && (rule.kind === "key" || rule.kind === "unique index")) replacedKeys.push([rule, counterpart]);
    else if (isReplaced || isRemoved) {
      const { replaced, dropped: removed, onlyOnTarget } = changeRules[rule.kind];
      // A table may have another table's name on the source, and then the rules of the other one on the target.
      const isKnown = former !== undefined || copies.has(rule.id);
      const change = changeOf(rule, isReplaced ? replaced : isKnown ? removed : onlyOnTarget, dropStatement(rule));
      changes.push(change);
      if (change.rule.action === "before") dropped.push(rule);
    }
  }
  return { dropped, changes, replacedKeys };
}

/** The target's foreign key follows a table that is renamed. If the source gives the name to another table, the recorded one may print alike. */
const isRedirected = (rule: FoundRule, counterpart: FoundRule): boolean =>
  rule.refersTo !== null && counterpart.kind === rule.kind && counterpart.refersTo !== rule.refersTo;

interface ReplacedKeys {
  readonly changes: readonly SchemaChange[];
  readonly dropped: readonly Rule[];
  /** Statements that drop the temporary replacements of keys. */
  readonly placeholders: readonly string[];
}

async function replaceKeys(
  { source, target }: RuleSides,
  { sourceByKey, knownByKey }: BothRules,
  replacedKeys: EndedRules["replacedKeys"],
): Promise<ReplacedKeys> {
  const changes: SchemaChange[] = [];
  const placeholders: string[] = [];
  const dropped: Rule[] = [];
  for (const [rule, counterpart] of replacedKeys) {
    const table = qualify(rule.schema, rule.of);
    const hasForeignKey = (schema: string, of: string, name: string): boolean => {
      const key = keyOf({ ...rule, kind: "foreign key", schema, of, name });
      return sourceByKey.has(key) || knownByKey.has(key);
    };
    const key = { table, schema: rule.schema, onTarget: rule.id, onSource: counterpart.id, drop: dropStatement(rule) };
    const replacement = await replaceKey({ source, target, hasForeignKey }, key);
    const { replaced } = changeRules[rule.kind];
    if (replacement.manualChanges !== undefined)
      changes.push(changeOf(rule, keyRules.neededOnTarget, replacement.manualChanges));
    else dropped.push(rule);
    changes.push(...replacement.additions.map((sql) => changeOf(rule, replaced, sql)));
    placeholders.push(...replacement.deferred);
  }
  return { changes, placeholders, dropped };
}

/** Checks and constraints of domains that the target lacks. */
function lackingRules(
  { hasTable, types }: RuleSides,
  { onSource }: BothRules,
  renamed: ReadonlyMap<FoundRule, FoundRule>,
  kept: ReadonlySet<string>,
): FoundRule[] {
  const existsOnTarget = ({ kind, schema, of }: Rule): boolean =>
    kind === "domain" ? types.domains.has(qualify(schema, of)) : kind === "check" && hasTable(qualify(schema, of));
  const isRenamed = new Set<Rule>(renamed.values());
  return onSource.filter(
    (rule) => !rule.inherited && existsOnTarget(rule) && !kept.has(keyOf(rule)) && !isRenamed.has(rule),
  );
}

/** Statements that drop the temporary replacements of keys which the target now has. */
function unusedPlaceholders({ onSource, onTarget }: BothRules, kept: ReadonlySet<string>): string[] {
  const hasItsKeys = ({ schema, of }: Rule): boolean =>
    onSource
      .filter((rule) => !rule.inherited && rule.schema === schema && rule.of === of)
      .every((rule) => (rule.kind !== "key" && rule.kind !== "unique index") || kept.has(keyOf(rule)));
  return onTarget
    .filter((rule) => rule.kind === "index" && isPlaceholder(rule.name) && hasItsKeys(rule))
    .map(({ schema, name }) => dropPlaceholder(schema, name));
}

/** An index has the name of the constraint that it will belong to. */
const keyOf = ({ kind, schema, of, name }: Rule): string => JSON.stringify([kind === "domain", schema, of, name]);

const alterOwner = ({ kind, schema, of }: Rule): string =>
  `ALTER ${kind === "domain" ? "DOMAIN" : "TABLE"} ${qualify(schema, of)}`;

function renameStatement(rule: Rule, to: string): string {
  const { kind, schema, name } = rule;
  if (kind.endsWith("index")) return `ALTER INDEX ${qualify(schema, name)} RENAME TO ${quoteIdentifier(to)}`;
  return `${alterOwner(rule)} RENAME CONSTRAINT ${quoteIdentifier(name)} TO ${quoteIdentifier(to)}`;
}

function dropStatement(rule: Rule): string {
  const { kind, schema, name } = rule;
  if (kind.endsWith("index")) return `DROP INDEX IF EXISTS ${qualify(schema, name)}`;
  return `${alterOwner(rule)} DROP CONSTRAINT IF EXISTS ${quoteIdentifier(name)}`;
}

/**
 * Adds and validates a constraint in one statement, although readers wait for the scan. A check that existing rows violate must
 * not remain, because it would reject changes of the stream.
 */
const addStatement = (rule: FoundRule): string =>
  `${alterOwner(rule)} ADD CONSTRAINT ${quoteIdentifier(rule.name)} ${rule.definition}`;

async function listRules(client: Client): Promise<FoundRule[]> {
  const objects = await readSchema<RuleDetails>(client, [constraints, domainConstraints, indexes], "text");
  return objects.flatMap(({ kind, oid, schema, name, of, details, definition, references }) =>
    details.rule === null
      ? []
      : [
          {
            id: `${kind === "index" ? "index" : "constraint"}/${oid}`,
            ...{ kind: details.rule, schema, of: of!.name, name },
            ...{ inherited: details.inherited, refersTo: details.refersTo },
            ...{ definition: definition!, digest: objectDigest(shortDigest(definition!), references!) },
          },
        ],
  );
}
