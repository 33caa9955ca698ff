import type { Client } from "pg";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import { notExtensionMember } from "../../postgres/own-only.js";
import { serverVersion } from "../../postgres/server-version.js";
import { dropPlaceholder, isPlaceholder, replaceKey } from "./replaced-keys.js";
import type { ManualChange } from "./manual-change.js";
import type { TypeDrift, TypeName } from "./type-drift.js";

/** A constraint of a table or a domain, or an index that is no constraint's. Plain JSON. */
export interface Rule {
  readonly kind: "check" | "domain" | "foreign key" | "index" | "key" | "unique index";
  /** The schema and the table; for a domain's constraint the domain. */
  readonly schema: string;
  readonly of: string;
  readonly name: string;
  readonly digest: string;
}

/** By their object identifiers, in pg_constraint and pg_class. */
export type Rules = Readonly<Record<string, Rule>>;

interface FoundRule extends Rule {
  readonly id: string;
  /** It comes and goes with one of the table's parent. */
  readonly inherited: boolean;
  /** As ADD CONSTRAINT takes it; null for an index. */
  readonly definition: string | null;
}

export interface RuleDrift {
  /** Statements that let the target take whatever the source does; what is new on the source is restored behind them. */
  readonly additions: readonly string[];
  readonly byHand: readonly ManualChange[];
  /**
   * Once all that was written before is applied: checks, which no dump has apart from their tables and domains, and the
   * end of what stood in for keys.
   */
  readonly late: readonly string[];
}

/** What the source's own rules are, for a later {@link readRuleDrift}. */
export async function readRules(source: Client): Promise<Rules> {
  const own = (await listRules(source)).filter(({ inherited }) => !inherited);
  return Object.fromEntries(
    own.map(({ id, kind, schema, of, name, digest }) => [id, { kind, schema, of, name, digest }]),
  );
}

export interface RuleSides {
  readonly source: Client;
  readonly target: Client;
  /** Where the target still has another name for a schema of the source. */
  readonly schemaOnTarget: (schema: string) => string;
  /** Whether both sides have a table, qualified and quoted as on the target. */
  readonly hasTable: (table: string) => boolean;
  /** {@link TypeDrift.nowCalled}: what is said of domains here is said once they have these names. */
  readonly nowCalled: TypeDrift["nowCalled"];
  /** The source's rules when the target had got them all; undefined where nobody has noted them. */
  readonly before: Rules | undefined;
}

/**
 * What the target still demands of rows and the source no longer does, and what is called otherwise there. An object
 * identifier tells a rule that was renamed, and, with another definition, one that was made anew under its name.
 */
export async function readRuleDrift(sides: RuleSides): Promise<RuleDrift> {
  const rules = await readBoth(sides);
  const renamed = renamedRules(rules);
  const ended = endedRules(rules, renamed);
  const keys = await replaceKeys(sides, rules, ended.replacedKeys);
  const dropped = new Set<Rule>([...ended.dropped, ...keys.dropped]);
  const stands = new Set(rules.here.filter((rule) => !dropped.has(rule)).map(keyOf));
  const renamings = [...renamed].map(([rule, { name }]) => renameStatement(rule, name));
  return {
    // Keys behind the foreign keys, of which some may refer to them and are gone.
    additions: [...renamings, ...ended.dropped.map(dropStatement), ...keys.additions],
    byHand: [...ended.byHand, ...keys.byHand],
    late: [
      ...(await lackingRules(sides, rules, renamed, stands)).map(addStatement),
      ...new Set([...keys.late, ...vainStandIns(rules, stands)]),
    ],
  };
}

/** As they are called on the target once what is said of schemas and domains is done. */
interface BothRules {
  readonly there: readonly FoundRule[];
  readonly here: readonly FoundRule[];
  readonly thereByKey: ReadonlyMap<string, FoundRule>;
  readonly hereByKey: ReadonlyMap<string, FoundRule>;
  /** What the source's were, by their object identifiers. */
  readonly known: ReadonlyMap<string, Rule>;
  readonly knownByKey: ReadonlyMap<string, Rule>;
}

async function readBoth({
  source,
  target,
  schemaOnTarget,
  hasTable,
  nowCalled,
  before,
}: RuleSides): Promise<BothRules> {
  const asCalledNow = <Some extends Rule>(rule: Some): Some => {
    const now = rule.kind === "domain" ? nowCalled.get(qualify(rule.schema, rule.of)) : undefined;
    return now ? { ...rule, schema: now.schema, of: now.name } : rule;
  };
  const there = (await listRules(source)).map((rule) => ({ ...rule, schema: schemaOnTarget(rule.schema) }));
  const here = (await listRules(target))
    .map(asCalledNow)
    .filter((rule) => !rule.inherited && (rule.kind === "domain" || hasTable(qualify(rule.schema, rule.of))));
  const known = new Map(Object.entries(before ?? {}));
  return {
    there,
    here,
    thereByKey: new Map(there.map((rule) => [keyOf(rule), rule])),
    hereByKey: new Map(here.map((rule) => [keyOf(rule), rule])),
    known,
    knownByKey: new Map([...known.values()].map((rule) => [keyOf(asCalledNow(rule)), rule])),
  };
}

/** The target's by their former names, and what they are on the source. */
function renamedRules({ there, thereByKey, hereByKey, known }: BothRules): ReadonlyMap<FoundRule, FoundRule> {
  return new Map(
    there.flatMap((rule) => {
      const former = known.get(rule.id);
      const twin = former && hereByKey.get(keyOf({ ...rule, name: former.name }));
      const isOther = twin && former.name !== rule.name && !hereByKey.has(keyOf(rule));
      return isOther && !thereByKey.has(keyOf(twin)) ? [[twin, rule] as const] : [];
    }),
  );
}

interface EndedRules {
  readonly dropped: readonly FoundRule[];
  readonly byHand: readonly ManualChange[];
  /** The target's, and what the source has in their place. */
  readonly replacedKeys: readonly (readonly [FoundRule, FoundRule])[];
}

function endedRules(
  { here, thereByKey, known, knownByKey }: BothRules,
  renamed: ReadonlyMap<FoundRule, FoundRule>,
): EndedRules {
  const dropped: FoundRule[] = [];
  const byHand: ManualChange[] = [];
  const replacedKeys: [FoundRule, FoundRule][] = [];
  for (const rule of here.filter((one) => !renamed.has(one))) {
    const twin = thereByKey.get(keyOf(rule));
    const former = knownByKey.get(keyOf(rule));
    const isGone = twin === undefined;
    const isReplaced = twin && former && !known.has(twin.id) && former.digest !== twin.digest;
    if (isReplaced && (rule.kind === "key" || rule.kind === "unique index")) replacedKeys.push([rule, twin]);
    else if (isReplaced || (isGone && former && binds(rule))) dropped.push(rule);
    else if (isGone && rule.kind !== "foreign key" && rule.kind !== "index")
      byHand.push({ tables: [qualify(rule.schema, rule.of)], sql: dropByHand(rule) });
  }
  return { dropped, byHand, replacedKeys };
}

async function replaceKeys(
  { source, target }: RuleSides,
  { thereByKey, knownByKey }: BothRules,
  replacedKeys: EndedRules["replacedKeys"],
): Promise<RuleDrift & { readonly dropped: readonly Rule[] }> {
  const additions: string[] = [];
  const byHand: ManualChange[] = [];
  const late: string[] = [];
  const dropped: Rule[] = [];
  for (const [rule, twin] of replacedKeys) {
    const table = qualify(rule.schema, rule.of);
    const hasForeignKey = (schema: string, of: string, name: string): boolean => {
      const key = keyOf({ ...rule, kind: "foreign key", schema, of, name });
      return thereByKey.has(key) || knownByKey.has(key);
    };
    const key = { table, schema: rule.schema, here: rule.id, there: twin.id, drop: dropStatement(rule) };
    const replacement = await replaceKey({ source, target, hasForeignKey }, key);
    if (replacement.byHand !== undefined) byHand.push({ tables: [table], sql: replacement.byHand });
    else dropped.push(rule);
    additions.push(...replacement.additions);
    late.push(...replacement.late);
  }
  return { additions, byHand, late, dropped };
}

/** Checks, and what domains demand, that the target has not. */
async function lackingRules(
  { target, hasTable, nowCalled }: RuleSides,
  { there }: BothRules,
  renamed: ReadonlyMap<FoundRule, FoundRule>,
  stands: ReadonlySet<string>,
): Promise<FoundRule[]> {
  const domains = new Set((await listDomains(target)).map((domain) => nameOf(nowCalled.get(nameOf(domain)) ?? domain)));
  const isThere = ({ kind, schema, of }: Rule): boolean =>
    kind === "domain" ? domains.has(qualify(schema, of)) : kind === "check" && hasTable(qualify(schema, of));
  const isRenamed = new Set<Rule>(renamed.values());
  return there.filter((rule) => !rule.inherited && isThere(rule) && !stands.has(keyOf(rule)) && !isRenamed.has(rule));
}

/** Statements for the end of what stood in for keys that are there by now. */
function vainStandIns({ there, here }: BothRules, stands: ReadonlySet<string>): string[] {
  const hasItsKeys = ({ schema, of }: Rule): boolean =>
    there
      .filter((rule) => !rule.inherited && rule.schema === schema && rule.of === of)
      .every((rule) => (rule.kind !== "key" && rule.kind !== "unique index") || stands.has(keyOf(rule)));
  return here
    .filter((rule) => rule.kind === "index" && isPlaceholder(rule.name) && hasItsKeys(rule))
    .map(({ schema, name }) => dropPlaceholder(schema, name));
}

/** Without it nothing that the stream brings is taken otherwise, or a decision of anybody's undone. */
const binds = ({ kind }: Rule): boolean => kind === "domain" || kind === "foreign key" || kind === "index";

const nameOf = ({ schema, name }: TypeName): string => qualify(schema, name);

/** An index has the name of the constraint that it is going to be. */
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
 * In one statement, though readers wait for the scan: a check that rows violate must not stay to refuse what the stream
 * brings.
 */
const addStatement = (rule: FoundRule): string =>
  `${alterOwner(rule)} ADD CONSTRAINT ${quoteIdentifier(rule.name)} ${rule.definition!}`;

function dropByHand(rule: Rule): string {
  const { kind, schema, name } = rule;
  if (kind === "unique index") return `DROP INDEX ${qualify(schema, name)}`;
  return `${alterOwner(rule)} DROP CONSTRAINT ${quoteIdentifier(name)}`;
}

async function listRules(client: Client): Promise<FoundRule[]> {
  const ofParent = (await serverVersion(client)) >= 110000 ? "OR k.conparentid <> 0" : "";
  const { rows } = await client.query<FoundRule>(`
    SELECT 'constraint/' || k.oid AS id, n.nspname AS schema, coalesce(c.relname, t.typname) AS of, k.conname AS name,
           CASE WHEN t.oid IS NOT NULL THEN 'domain' WHEN k.contype = 'c' THEN 'check' WHEN k.contype = 'f' THEN 'foreign key' ELSE 'key' END AS kind,
           left(md5(pg_get_constraintdef(k.oid)), 8) AS digest, pg_get_constraintdef(k.oid) AS definition,
           NOT k.conislocal ${ofParent} AS inherited
      FROM pg_constraint k
      LEFT JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_type t ON t.oid = k.contypid
      JOIN pg_namespace n ON n.oid = coalesce(c.relnamespace, t.typnamespace)
     WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND (t.oid IS NULL OR ${notExtensionMember("pg_type", "t.oid")})
    UNION ALL
    SELECT 'index/' || i.oid, n.nspname, c.relname, i.relname, CASE WHEN x.indisunique THEN 'unique index' ELSE 'index' END,
           left(md5(pg_get_indexdef(i.oid)), 8), NULL, EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.oid)
      FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p')
       AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u', 'x'))`);
  return rows;
}

async function listDomains(client: Client): Promise<TypeName[]> {
  const { rows } = await client.query<TypeName>(
    "SELECT n.nspname AS schema, t.typname AS name FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'd'",
  );
  return rows;
}
