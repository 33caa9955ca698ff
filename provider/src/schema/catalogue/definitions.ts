import type { Client } from "pg";
import { qualify, quoteIdentifier, type RelationName, temporaryName } from "../../postgres/identifiers.js";
import { restoredRule } from "./change-rules.js";
import { isSameDigest, objectDigest } from "./digests.js";
import { otherKinds } from "./kinds.js";
import { readSchema, type SchemaObject } from "./read-schema.js";

/**
 * Digests of the source's definitions by kind and name. They detect replaced objects, which leave no other trace. Plain
 * JSON.
 */
export type Definitions = Readonly<Record<string, string>>;

/** An object whose definition may change under the same name. Without a definition, it can only be found missing. */
export interface Redefined {
  readonly kind: string;
  /** `function public.f(integer)` */
  readonly key: string;
  /** The {@link catalogueKey} on the source. */
  readonly id: string;
  /** An {@link objectDigest}, with the OID for a kind that can only be dropped and created again. */
  readonly digest: string;
  readonly drop: string;
  /** Whether it is a trigger, rule or policy. */
  readonly isRelationPart: boolean;
  /** Whether it came with the one of a partition's parent. */
  readonly ofParent: boolean;
}

/** The names of objects by their OIDs: {@link Redefined.key} by {@link Redefined.id}. Plain JSON. */
export type ObjectKeys = Readonly<Record<string, string>>;

/** All definitions by users in a source's database, without extensions. The session's search_path has to be empty. */
export async function readDefinitions(source: Client): Promise<Redefined[]> {
  const objects = await readSchema(source, otherKinds, "digest");
  return objects.map((object) => ({
    kind: object.kind,
    key: keyOf(object),
    id: object.id,
    digest: objectDigest(object.definition!, object.references!, isOnlyRecreated(object) ? object.oid : ""),
    drop: dropStatement(object),
    isRelationPart: object.of !== null,
    ofParent: object.ofParent,
  }));
}

/** The same key identifies an object on both servers, except for names that were changed. */
export const keyOf = ({ kind, identity }: Pick<SchemaObject, "kind" | "identity">): string => `${kind} ${identity}`;

/** While such an object has its OID, its definition only changes with the names of others. */
const isOnlyRecreated = ({ kind }: SchemaObject): boolean => restoredRule(kind, "changed")?.action === "pause";

export function dropStatement(object: SchemaObject): string {
  const { kind, identity, name, of } = object;
  const drop = `DROP ${kind.toUpperCase()}`;
  if (of) return `${drop} IF EXISTS ${quoteIdentifier(name)} ON ${qualify(of.schema, of.name)}`;
  return `${drop} ${referenceTo(kind, identity)}`;
}

/** An identity in the form of a command. */
export const referenceTo = (kind: string, identity: string): string =>
  kind === "aggregate" ? identity.replace(/\(\)$/, "(*)") : identity;

export const digestsOf = (defined: readonly Redefined[]): Definitions =>
  Object.fromEntries(defined.map(({ key, digest }) => [key, digest]));

export const objectKeysOf = (defined: readonly Redefined[]): ObjectKeys =>
  Object.fromEntries(defined.filter(({ ofParent }) => !ofParent).map(({ id, key }) => [id, key]));

/**
 * Digests by present keys: triggers, rules and policies are renamed with their tables.
 *
 * @param isRenamed whether the target has the object under its present key
 */
export function underPresentKeys(
  before: Definitions,
  former: ObjectKeys,
  { now, isRenamed }: { readonly now: readonly Redefined[]; readonly isRenamed: (one: Redefined) => boolean },
): Definitions {
  const renamed = now.filter((one) => (former[one.id] ?? one.key) !== one.key && isRenamed(one));
  const left = new Set(renamed.map(({ id }) => former[id]!));
  // Another object may have the former name now. It was never given to the target.
  const isOther = ({ id, key }: Redefined): boolean => left.has(key) && former[id] !== key;
  const others = new Set(now.filter(isOther).map(({ key }) => key));
  const digests = renamed.flatMap(({ id, key }) => {
    const digest = before[former[id]!];
    return digest === undefined ? [] : [[key, digest] as const];
  });
  return {
    ...Object.fromEntries(Object.entries(before).filter(([key]) => !others.has(key))),
    ...Object.fromEntries(digests),
  };
}

/** Objects with a changed definition. New objects are not included: they are missing on the target. */
export const redefinedSince = (before: Definitions, now: readonly Redefined[]): Redefined[] =>
  now.filter(({ key, digest }) => before[key] !== undefined && !isSameDigest(before[key], digest));

/**
 * Statements that give an object another schema, another name, or both.
 *
 * @param kind as in commands: `DOMAIN`
 * @param refer the object's name in a command
 */
export function renameStatements(
  kind: string,
  from: RelationName,
  to: RelationName,
  refer: (place: RelationName) => string = ({ schema, name }) => qualify(schema, name),
): string[] {
  const renamed = (place: RelationName, name: string): string =>
    `ALTER ${kind} ${refer(place)} RENAME TO ${quoteIdentifier(name)}`;
  const moved = (place: RelationName): string =>
    `ALTER ${kind} ${refer(place)} SET SCHEMA ${quoteIdentifier(to.schema)}`;
  if (from.schema === to.schema) return from.name === to.name ? [] : [renamed(from, to.name)];
  if (from.name === to.name) return [moved(from)];
  // Other objects may have the former name in the new schema, and the new name in the former one.
  const aside = temporaryName(from.name);
  return [
    renamed(from, aside),
    moved({ schema: from.schema, name: aside }),
    renamed({ schema: to.schema, name: aside }, to.name),
  ];
}
