import type { Client } from "pg";
import { EngineError } from "../errors.js";
import { qualify, type RelationName } from "../postgres/identifiers.js";
import { serverVersion } from "../postgres/server-version.js";
import { keyOf } from "../schema/catalogue/definitions.js";
import { allKinds, isOptional, otherKinds, tableKinds } from "../schema/catalogue/kinds.js";
import { comparableDefinition } from "../schema/catalogue/printed-definition.js";
import { parseStatement, withoutSecrets } from "../schema/sql/statements.js";
import { type AttributeValue, readSchema, type SchemaObject } from "../schema/catalogue/read-schema.js";

/** An object that is missing or different on one of the servers. */
export interface SchemaDifference {
  /** `table`, `column`, `index`, `constraint`, `view`, `function`, … as in PostgreSQL's commands. */
  readonly kind: string;
  /** Qualified, and quoted if necessary: `public.orders.id`, `sales.total(integer)`. */
  readonly name: string;
  /** For an object that differs: its different attributes on the source, and on the target. */
  readonly source?: string;
  readonly target?: string;
  /** The {@link catalogueKey} on the server that has the object, preferably the source. */
  readonly id: string;
  /** Names of the different attributes. */
  readonly attributes?: readonly string[];
  /** The object of the target, if the source does not have it. */
  readonly onlyOnTarget?: SchemaObject;
}

export interface SchemaComparison {
  /** {@link catalogueKey}s of objects to ignore: `1259/16384`. */
  readonly without?: ReadonlySet<string>;
  /** Both lists are of one server, or of two copies of its files: definitions have to be equal in each character. */
  readonly exact?: boolean;
}

/** What cannot be the same on the target. */
export interface CompleteComparison extends SchemaComparison {
  /** The roles of the target, and whether the migration can give objects to them. Findings report missing roles. */
  readonly roles: ReadonlyMap<string, { readonly mayBecome: boolean }>;
}

/**
 * Objects of the source's schema that the target lacks or has with other attributes, by kind and name. Attributes include
 * types of columns, and validity of indexes and constraints. Definitions are not compared, and this never waits for locks of
 * tables. Objects that exist only on the target are ignored. Sorted by kind and name; each server gets one query.
 */
export async function compareSchema(
  source: Client,
  target: Client,
  comparison: SchemaComparison = {},
): Promise<SchemaDifference[]> {
  const kinds = [...tableKinds, ...otherKinds];
  const [all, there] = await Promise.all([source, target].map((client) => readSchema(client, kinds, "attributes")));
  return differencesOf(all!, there!, comparison).filter(({ onlyOnTarget }) => !onlyOnTarget);
}

/**
 * All differences of two schemas: in kind, name, attributes, definition, owner, privileges and comment, and the objects of only one
 * server. Each server gets one query.
 */
export async function compareCompletely(
  source: Client,
  target: Client,
  { roles, without }: CompleteComparison,
): Promise<SchemaDifference[]> {
  const versions = [await serverVersion(source), await serverVersion(target)];
  const kinds = allKinds.filter((kind) => versions.every((version) => kind(version) !== undefined));
  const [all, there] = await Promise.all([source, target].map((client) => readSchema(client, kinds, "complete")));
  const isOld = Math.min(...versions) < 170000;
  const withheld = withoutOwnersPrivileges(roles, all!);
  const expected = all!
    .filter((object) => hasKnownUser(roles, object))
    .map((object) => withComparablePrivileges(withKnownRoles(roles, withheld(object)), isOld))
    .filter(isComparable);
  const present = there!.map((object) => withComparablePrivileges(object, isOld)).filter(isComparable);
  // The restore reports these objects with their owners.
  const excused = new Set(all!.filter((one) => isOptional(one.kind) && !isKnownOwner(roles, one)).map(({ id }) => id));
  return differencesOf(expected, present, without ? { without } : {}).filter(
    ({ source: form, onlyOnTarget, id }) => form !== undefined || onlyOnTarget || !excused.has(id),
  );
}

type Roles = CompleteComparison["roles"];

const isKnownOwner = (roles: Roles, { attributes: { owner } }: SchemaObject): boolean =>
  typeof owner !== "string" || roles.get(owner)?.mayBecome === true;

/** The target cannot have the user mapping of a role that it lacks. */
const hasKnownUser = (roles: Roles, { kind, name }: SchemaObject): boolean =>
  kind !== "user mapping" || name === "public" || roles.has(name);

/** Whether a list of changed privileges still has some that both servers can have. */
const isComparable = ({ kind, attributes }: SchemaObject): boolean =>
  !kind.startsWith("privileges on ") || String(attributes.privileges ?? "") !== "";

/**
 * Without the privileges on views, and on tables with rules, whose owner the target does not have. The restore may have left
 * them out, and reports that.
 */
function withoutOwnersPrivileges(
  roles: Roles,
  objects: readonly SchemaObject[],
): (object: SchemaObject) => SchemaObject {
  const ruled = new Set(objects.flatMap(({ kind, of }) => (kind === "rule" && of ? [nameOf(of)] : [])));
  const runsAsOwner = (object: SchemaObject): boolean =>
    object.kind.endsWith("view") || (object.kind.endsWith("table") && ruled.has(nameOf(object)));
  const taken = new Set(objects.filter((one) => runsAsOwner(one) && !isKnownOwner(roles, one)).map(nameOf));
  return (object) => {
    const relation = object.kind.endsWith("column") ? object.of : /(view|table)$/.test(object.kind) ? object : null;
    if (!relation || !taken.has(nameOf(relation))) return object;
    const { privileges: _, ...attributes } = object.attributes;
    return { ...object, attributes };
  };
}

/** Without what the target cannot have: owners and privileges of roles that it lacks, and their SECURITY DEFINER. */
function withKnownRoles(roles: Roles, object: SchemaObject): SchemaObject {
  const { owner, owners, privileges, settings, "security definer": isDefiner, ...attributes } = object.attributes;
  const isOwnersKnown = isKnownOwner(roles, object);
  // The owner of a column is that of its table.
  const isKnown = (entry: string): boolean => {
    const role = roleOf(entry);
    return role === "(owner)" ? isOwnersKnown && !object.kind.endsWith("column") : role === "PUBLIC" || roles.has(role);
  };
  const known = (name: string, list: AttributeValue | undefined): SchemaObject["attributes"] =>
    list === undefined ? {} : { [name]: Array.isArray(list) ? list.filter(isKnown) : list };
  const allKnown = Array.isArray(owners) && owners.every((one: string) => roles.get(roleOf(one))?.mayBecome);
  return {
    ...object,
    attributes: {
      ...attributes,
      ...(owner !== undefined && isOwnersKnown ? { owner } : {}),
      // Without its owner, a function may have to be SECURITY INVOKER.
      ...(isDefiner === undefined || (isDefiner && !isOwnersKnown) ? {} : { "security definer": isDefiner }),
      ...(allKnown ? { owners } : {}),
      ...known("privileges", privileges),
      ...known("settings", settings),
    },
  };
}

/** The role in `not reader: SELECT*`. */
const roleOf = (entry: string): string => /^(?:not )?(.*?): [A-Z]/.exec(entry)?.[1] ?? "";

/** Without grantors, who may not be able to grant on the target, and without what GRANT ALL includes from 17 on. */
function withComparablePrivileges(object: SchemaObject, isOld: boolean): SchemaObject {
  const { privileges } = object.attributes;
  if (!Array.isArray(privileges)) return object;
  const entries = privileges.map((one: string) => one.replace(/(: [A-Z ]+\*?) by .*$/, "$1"));
  const comparable = isOld ? entries.filter((one) => !/: MAINTAIN\*?$/.test(one)) : entries;
  return { ...object, attributes: { ...object.attributes, privileges: [...new Set(comparable)].sort() } };
}

/** Names of parts that the server created for a partition may differ, unless a comment names the part. */
const isNamed = ({ ofParent, attributes }: SchemaObject): boolean =>
  !ofParent || typeof attributes.comment === "string";

/** Compares two lists of objects by kind and identity. An attribute that one of the versions lacks is ignored. */
export function differencesOf(
  source: readonly SchemaObject[],
  target: readonly SchemaObject[],
  { without = new Set(), exact = false }: SchemaComparison = {},
): SchemaDifference[] {
  const onTarget = new Map(target.map((object) => [keyOf(object), object]));
  const onSource = new Set(source.map(keyOf));
  const found = source.flatMap((object): SchemaDifference[] => {
    if (without.has(object.id) || isInvalidIndex(object)) return [];
    const { kind, identity: name, id } = object;
    const present = onTarget.get(keyOf(object));
    if (!isNamed(object) && !(present && isNamed(present))) return [];
    if (!present) return [{ kind, name, id }];
    const different = Object.keys(object.attributes).filter(
      (one) => one in present.attributes && !isSame(one, object.attributes[one]!, present.attributes[one]!, exact),
    );
    return different.length === 0
      ? []
      : [{ kind, name, id, attributes: different, ...formsOf(object, present, different) }];
  });
  const onlyThere = [...onTarget.values()].filter((object) => isNamed(object) && !onSource.has(keyOf(object)));
  const views = new Set(onlyThere.filter(({ kind }) => kind.endsWith("view")).map(nameOf));
  const others = onlyThere
    .filter(({ kind, of }) => kind !== "view column" || of === null || !views.has(nameOf(of)))
    .map((object) => ({ kind: object.kind, name: object.identity, id: object.id, onlyOnTarget: object }));
  return [...found, ...others];
}

const nameOf = ({ schema, name }: RelationName): string => qualify(schema, name);

/** Attributes that PostgreSQL prints from a parsed definition. All others are names, numbers or free text. */
const printedAttributes: ReadonlySet<string> = new Set(["definition", "default", "partition key"]);

function isSame(name: string, value: AttributeValue, other: AttributeValue, exact: boolean): boolean {
  // An empty list is the same as none.
  if (String(value ?? "") === String(other ?? "")) return true;
  if (exact) return false;
  // The options of a user mapping are null if the role may not read them.
  if (name === "foreign options" && (value === null || other === null)) return true;
  if (!printedAttributes.has(name) || typeof value !== "string" || typeof other !== "string") return false;
  return isSameDefinition(value, other);
}

/** Definitions that the tokenizer cannot read are different. */
function isSameDefinition(value: string, other: string): boolean {
  try {
    return comparableDefinition(value) === comparableDefinition(other);
  } catch (error) {
    if (error instanceof EngineError) return false;
    throw error;
  }
}

/** `character varying(10), not nullable` */
function formsOf(
  source: SchemaObject,
  target: SchemaObject,
  names: readonly string[],
): Pick<SchemaDifference, "source" | "target"> {
  const pairs = names.map((name) => formOf(name, source.attributes[name]!, target.attributes[name]!));
  return { source: pairs.map(([form]) => form).join(", "), target: pairs.map(([, form]) => form).join(", ") };
}

/** Attributes whose values need no name. */
const withoutName: ReadonlySet<string> = new Set(["type", "form", "options"]);

function formOf(name: string, value: AttributeValue, other: AttributeValue): [string, string] {
  if (typeof value === "boolean") return [value, other].map((one) => `${one ? "" : "not "}${name}`) as [string, string];
  const elements = (one: AttributeValue): string[] => {
    if (one === null) return [];
    return typeof one === "object" ? [...one] : [String(one)];
  };
  const [mine, others] = [elements(value), elements(other)];
  const label = withoutName.has(name) ? "" : `${name} `;
  const only = (some: string[], rest: string[]): string => {
    const own = some.filter((one) => !rest.includes(one));
    // Values of foreign options and of settings may be secret.
    const shown =
      name === "foreign options" || name === "settings"
        ? own.map((one) => one.split("=", 1)[0]!)
        : own.map(shownAs(name));
    return shown.length === 0
      ? `${label}${some.length === 0 ? "none" : "otherwise"}`
      : `${label}${shown.join(" and ")}`;
  };
  return [only(mine, others), only(others, mine)];
}

const shownAs = (name: string) => (value: string) =>
  excerpt(name === "definition" ? withoutSecrets(parseStatement(value)) : value);

const longest = 200;
const excerpt = (value: string): string => (value.length <= longest ? value : `${value.slice(0, longest)}…`);

/** An index left by a failed CREATE INDEX CONCURRENTLY. Dumps do not contain it. */
const isInvalidIndex = ({ kind, attributes }: SchemaObject): boolean => kind === "index" && attributes.valid === false;
