import type { Client } from "pg";
import { qualify, quoteIdentifier, quoteLiteral } from "../../postgres/identifiers.js";
import { userSchemas } from "../../postgres/catalogue-filters.js";
import type { ChangeRule } from "../../schema/catalogue/change-rule.js";
import { renameStatements } from "../../schema/catalogue/definitions.js";
import {
  attributeRules,
  domainRules,
  labelRules,
  type TypeDetails,
  typeRules,
  types,
} from "../../schema/catalogue/kinds/types.js";
import { readSchema } from "../../schema/catalogue/read-schema.js";
import { isSameDigest, objectDigest, shortDigest } from "../../schema/catalogue/digests.js";
import {
  type FollowedByOid,
  inOrder,
  namesOnTarget,
  pairColumnsOrAttributes,
  type PartNames,
} from "./followed-parts.js";
import { noSchema } from "./renamed-schemas.js";
import type { SchemaChange } from "./schema-change.js";

/** A user-defined type of the source. Plain JSON. */
export interface TypeMark {
  readonly schema: string;
  readonly name: string;
  /** Attribute names of a composite type. The index is the attribute number minus one; dropped attributes are null. */
  readonly attributes: readonly (string | null)[];
  /** Digest of a domain's default. */
  readonly default?: string | undefined;
}

/** Types by OID. */
export type TypeMarks = Readonly<Record<string, TypeMark>>;

interface UsersType extends TypeDetails {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  readonly isDomain: boolean;
}

export interface TypeDrift {
  /** Changes that use former names of types come first. Statements that run after earlier rows use the present names. */
  readonly changes: readonly SchemaChange[];
  /** Qualified names of the source's types that the target has under another name. The changes rename them. */
  readonly renamed: ReadonlySet<string>;
  /** Returns the target's name of a type of the source, as format_type prints it. */
  readonly typeOnTarget: (type: string) => string;
  /** The present names of renamed types, by their former qualified names. The target has these after the changes. */
  readonly nowCalled: ReadonlyMap<string, TypeName>;
  /** The counterparts of all types that both sides have. */
  readonly followed: FollowedByOid;
  /** Qualified names of the target's domains after the changes. */
  readonly domains: ReadonlySet<string>;
}

export interface TypeName {
  readonly schema: string;
  readonly name: string;
}

export interface TypeSides {
  readonly source: Client;
  readonly target: Client;
  /** Returns the target's name of a schema of the source. */
  readonly schemaOnTarget: (schema: string) => string;
  /** The source's types when they were last applied to the target; undefined if they were not recorded. */
  readonly before: TypeMarks | undefined;
  /** The counterparts on the target that are known. */
  readonly followed?: FollowedByOid;
}

export async function readTypeMarks(source: Client): Promise<TypeMarks> {
  return Object.fromEntries(
    (await listTypes(source)).map((type) => [
      type.oid,
      {
        ...{ schema: type.schema, name: type.name, attributes: partNames(type) },
        ...(type.default === null ? {} : { default: digestOfDefault(type) }),
      },
    ]),
  );
}

export async function readTypeDrift({
  source,
  target,
  schemaOnTarget,
  before,
  followed: known = {},
}: TypeSides): Promise<TypeDrift> {
  const ofTarget = await listTypes(target);
  const onTarget = new Map(ofTarget.map((type) => [nameOf(type), type]));
  const copies = new Map(ofTarget.map((type) => [Number(type.oid), type]));
  const all = (await listTypes(source)).map((type) => ({ ...type, schema: schemaOnTarget(type.schema) }));
  const taken = new Set(all.map(nameOf));
  // Another schema may have the former name of the type's schema.
  const asOnTarget = (mark: TypeMark): TypeMark =>
    onTarget.has(nameOf(mark)) ? mark : { ...mark, schema: schemaOnTarget(mark.schema) };
  // Of types that were dropped, and may have been created again.
  const markNamed = new Map(Object.values(before ?? {}).map((mark) => [nameOf(mark), mark]));
  const pairs = all.flatMap((type) => {
    const mark = before?.[type.oid];
    const copy = copies.get(known[type.oid]?.copy ?? 0);
    const former = copy ?? (mark && asOnTarget(mark));
    const isRenamed =
      former &&
      type.schema !== noSchema &&
      !onTarget.has(nameOf(type)) &&
      onTarget.has(nameOf(former)) &&
      !taken.has(nameOf(former));
    const targetType = onTarget.get(nameOf(isRenamed ? former : type));
    if (!targetType) return [];
    const sides = { now: partNames(type), copy: Number(targetType.oid), onTarget: partNames(targetType) };
    const parts = pairColumnsOrAttributes(known[type.oid], mark?.attributes, sides);
    return [{ type, targetType, mark, former, parts, isRenamed: isRenamed === true }];
  });
  const renamed = pairs.filter((pair) => pair.isRenamed);
  const formerNames = new Map(renamed.map(({ type, targetType }) => [type.printed, targetType.printed]));
  const typeOnTarget = (type: string): string => {
    const [, name = type, rest = ""] = /^(.*?)((?:\[\])?)$/s.exec(type) ?? [];
    return `${formerNames.get(name) ?? name}${rest}`;
  };
  const statements = [
    ...pairs.flatMap(({ type, targetType, mark, parts }) =>
      withOid(type, [
        ...labelDrift(targetType, type),
        ...attributeDrift(targetType, type, {
          before: mark?.attributes,
          formerNames: namesOnTarget(parts, partNames(type), partNames(targetType)),
          typeOnTarget,
        }),
        ...(type.isDomain && targetType.notNull && !type.notNull
          ? [statement(domainRules.nullable, `ALTER DOMAIN ${nameOf(targetType)} DROP NOT NULL`)]
          : []),
      ]),
    ),
    ...renamed.flatMap(({ type, targetType }) => withOid(type, renamedType(targetType, type))),
    ...pairs.flatMap(({ type, targetType, mark }) =>
      type.isDomain ? withOid(type, domainDrift(targetType, type, mark ?? markNamed.get(nameOf(targetType)))) : [],
    ),
  ];
  const tables = statements.length > 0 ? await tablesByType(source) : new Map<string, TableOfType[]>();
  const changes = statements.map(({ oid, ...change }) => ({ ...change, tables: (tables.get(oid) ?? []).map(nameOf) }));
  const nowCalled = new Map(
    pairs.flatMap(({ type, mark, former }) =>
      [former, mark && asOnTarget(mark)].flatMap((one): [string, TypeName][] =>
        one && !taken.has(nameOf(one)) ? [[nameOf(one), type]] : [],
      ),
    ),
  );
  const domains = new Set(
    [...onTarget].flatMap(([name, type]) => (type.isDomain ? [nameOf(nowCalled.get(name) ?? type)] : [])),
  );
  const names = { renamed: new Set(renamed.map(({ type }) => nameOf(type))), typeOnTarget, nowCalled, domains };
  const waiting = all.flatMap(({ oid, schema }) =>
    schema === noSchema && known[oid] ? [[oid, known[oid]] as const] : [],
  );
  const followed = Object.fromEntries([...waiting, ...pairs.map(({ type, parts }) => [type.oid, parts] as const)]);
  return { changes, followed, ...names };
}

const partNames = ({ attributes }: UsersType): PartNames => attributes.map((attribute) => attribute?.name ?? null);

const nameOf = ({ schema, name }: TypeName): string => qualify(schema, name);

type Statement = Pick<SchemaChange, "rule" | "sql" | "converts">;

const statement = (rule: ChangeRule, sql: string): Statement => ({ rule, sql });

const withOid = ({ oid }: UsersType, statements: readonly Statement[]): (Statement & { readonly oid: string })[] =>
  statements.map((one) => ({ ...one, oid }));

function renamedType(from: UsersType, to: UsersType): Statement[] {
  const [kind, { renamed }] = to.isDomain ? (["DOMAIN", domainRules] as const) : (["TYPE", typeRules] as const);
  return renameStatements(kind, from, to).map((sql) => statement(renamed, sql));
}

/**
 * Labels are never dropped, and keep their order. The target's labels are the oldest of the source; new labels may be between
 * them. OIDs rise, so they show the age.
 */
function labelDrift(targetType: UsersType, type: UsersType): Statement[] {
  if (targetType.labels.length === 0 || targetType.labels.length > type.labels.length) return [];
  const byAge = type.labels.map(({ oid }) => oid).sort((one, other) => one - other);
  const added = byAge.slice(targetType.labels.length);
  const old = type.labels.filter(({ oid }) => !added.includes(oid));
  const onTarget = targetType.labels.map(({ label }) => label);
  const name = nameOf(targetType);
  const labelOnTarget = new Map(old.map(({ oid }, place) => [oid, onTarget[place]!]));
  const additions = added.flatMap((oid): Statement[] => {
    const place = type.labels.findIndex((one) => one.oid === oid);
    const { label } = type.labels[place]!;
    // A label that is going to be renamed still has this name.
    if (onTarget.includes(label)) return [];
    const before = type.labels.slice(0, place).findLast((one) => labelOnTarget.has(one.oid));
    const neighbour = before ?? type.labels.slice(place).find((one) => labelOnTarget.has(one.oid))!;
    const where = `${before ? "AFTER" : "BEFORE"} ${quoteLiteral(labelOnTarget.get(neighbour.oid)!)}`;
    labelOnTarget.set(oid, label);
    return [statement(labelRules.added, `ALTER TYPE ${name} ADD VALUE IF NOT EXISTS ${quoteLiteral(label)} ${where}`)];
  });
  const renames = old.flatMap(({ label }, place): [string, string][] =>
    onTarget[place] === label ? [] : [[onTarget[place]!, label]],
  );
  const renamed = inOrder(renames, (from, to) => renameLabel(name, from, to));
  return [...additions, ...renamed.map((sql) => statement(labelRules.renamed, sql))];
}

const renameLabel = (type: string, from: string, to: string): string =>
  `ALTER TYPE ${type} RENAME VALUE ${quoteLiteral(from)} TO ${quoteLiteral(to)}`;

interface KnownAttributes {
  readonly before: PartNames | undefined;
  /** The names on the target, by those on the source. */
  readonly formerNames: ReadonlyMap<string, string>;
  readonly typeOnTarget: TypeDrift["typeOnTarget"];
}

function attributeDrift(
  targetType: UsersType,
  type: UsersType,
  { before, formerNames, typeOnTarget }: KnownAttributes,
): Statement[] {
  const onTarget = new Map(targetType.attributes.flatMap((one) => (one ? [[one.name, one]] : [])));
  const onSource = new Map(type.attributes.flatMap((one) => (one ? [[one.name, one]] : [])));
  const alter = `ALTER TYPE ${nameOf(targetType)}`;
  const cascade = targetType.hasTables ? " CASCADE" : "";
  const isOther = (name: string, wanted: string): boolean =>
    typeOf(onTarget.get(formerNames.get(name) ?? "")?.type ?? "") !== typeOf(typeOnTarget(wanted));
  const order = [...onTarget.keys()];
  // Attributes are added at the end, so only those in the source's order are kept. A replaced one has no values to convert.
  const stay: string[] = [];
  for (const [place, one] of type.attributes.entries()) {
    if (!one) continue;
    const isRecreated = before?.includes(one.name) === true && (before[place] ?? null) === null;
    const former = formerNames.get(one.name);
    const isBehind = former !== undefined && order.indexOf(former) > order.indexOf(stay.at(-1) ?? "");
    if (!isBehind || (isRecreated && isOther(one.name, one.type))) break;
    stay.push(former);
  }
  const statements = order
    .filter((name) => !stay.includes(name))
    .map((name) =>
      statement(
        attributeRules.dropped,
        `${alter} DROP ATTRIBUTE ${quoteIdentifier(name)}${cascade} /* deletes the values of this attribute on the target */`,
      ),
    );
  for (const { name, type: wanted } of onSource.values()) {
    const former = formerNames.get(name);
    // Another attribute has its name until it is renamed.
    if (former === undefined && onTarget.has(name)) continue;
    if (former === undefined || !stay.includes(former))
      statements.push(
        statement(attributeRules.added, `${alter} ADD ATTRIBUTE ${quoteIdentifier(name)} ${wanted}${cascade}`),
      );
    else if (isOther(name, wanted))
      statements.push({
        rule: attributeRules.retyped,
        sql: `${alter} ALTER ATTRIBUTE ${quoteIdentifier(former)} TYPE ${wanted}${cascade}`,
        ...(targetType.hasTables && {
          converts: {
            ...{ from: onTarget.get(former)!.type, to: typeOnTarget(wanted) },
            ruleOfUsers: attributeRules.retypedByUsers,
          },
        }),
      });
  }
  const rule = targetType.hasTables ? attributeRules.renamedColumn : attributeRules.renamed;
  const renames = [...formerNames].flatMap(([name, former]): [string, string][] =>
    name !== former && stay.includes(former) ? [[former, name]] : [],
  );
  const renameAttribute = (from: string, to: string): string =>
    `${alter} RENAME ATTRIBUTE ${quoteIdentifier(from)} TO ${quoteIdentifier(to)}${cascade}`;
  return [...statements, ...inOrder(renames, renameAttribute).map((sql) => statement(rule, sql))];
}

const digestOfDefault = ({ default: expression, defaultReferences }: UsersType): string =>
  objectDigest(shortDigest(expression ?? ""), defaultReferences ?? undefined);

/** With the present name: these statements run after those that rename domains. */
function domainDrift(targetType: UsersType, type: UsersType, former: TypeMark | undefined): Statement[] {
  const alter = `ALTER DOMAIN ${nameOf(type)}`;
  const isChanged =
    former !== undefined && (former.default === undefined || !isSameDigest(former.default, digestOfDefault(type)));
  const statements =
    type.notNull && !targetType.notNull ? [statement(domainRules.notNull, `${alter} SET NOT NULL`)] : [];
  if (type.default === null && targetType.default !== null)
    statements.push(statement(domainRules.default, `${alter} DROP DEFAULT`));
  const isOther = type.default !== targetType.default;
  if (type.default !== null && isOther && (targetType.default === null || isChanged))
    statements.push(statement(domainRules.default, `${alter} SET DEFAULT ${type.default}`));
  return statements;
}

/** Omits the schema: an extension may have another schema on the target. */
export const typeOf = (type: string): string => type.replace(/^("(?:[^"]|"")*"|\w+)\./, "");

async function listTypes(client: Client): Promise<UsersType[]> {
  const objects = await readSchema(client, [types], "details");
  return objects.map(({ kind, oid, schema, name, details }) => ({
    ...{ oid, schema, name, isDomain: kind === "domain" },
    ...details,
  }));
}

export interface TableOfType extends TypeName {
  readonly oid: string;
}

/**
 * The tables that use each type, by the type's OID. A table may use a type in a column, also inside arrays, domains, ranges and
 * composite types, or be a table OF the type.
 */
export async function tablesByType(source: Client): Promise<Map<string, TableOfType[]>> {
  const { rows } = await source.query<{ oid: string; tables: TableOfType[] }>(`
    WITH RECURSIVE inside (part, whole) AS (
      SELECT oid, oid FROM pg_type WHERE typtype IN ('c', 'd', 'e', 'r')
      UNION
      SELECT i.part, w.whole
        FROM inside i
        JOIN (SELECT typelem AS part, oid AS whole FROM pg_type WHERE typelem <> 0
              UNION ALL SELECT typbasetype, oid FROM pg_type WHERE typtype = 'd'
              UNION ALL SELECT rngsubtype, rngtypid FROM pg_range
              UNION ALL SELECT a.atttypid, t.oid FROM pg_attribute a JOIN pg_type t ON t.typrelid = a.attrelid
                         WHERE a.attnum > 0 AND NOT a.attisdropped) w ON w.part = i.whole)
    SELECT i.part::text AS oid, json_agg(DISTINCT jsonb_build_object('oid', c.oid::text, 'schema', n.nspname, 'name', c.relname)) AS tables
      FROM inside i
      JOIN (SELECT atttypid AS type, attrelid AS table FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
            UNION SELECT reloftype, oid FROM pg_class WHERE reloftype <> 0) AS held ON held.type = i.whole
      JOIN pg_class c ON c.oid = held.table AND c.relkind IN ('r', 'p') JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE ${userSchemas("n")}
     GROUP BY 1`);
  return new Map(rows.map(({ oid, tables }) => [oid, tables]));
}
