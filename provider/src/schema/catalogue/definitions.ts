import type { Client } from "pg";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import type { Entry } from "../sql/toc-entries.js";
import { otherKinds } from "./kinds.js";
import { readSchema, type SchemaObject } from "./read-schema.js";

/**
 * Digests of the source's definitions by kind and name. They detect replaced objects, which leave no other trace. Plain
 * JSON.
 */
export type Definitions = Readonly<Record<string, string>>;

/** An object whose definition may change under the same name. Without a definition, it can only be found missing. */
export interface Redefined {
  /** `function public.f(integer)` */
  readonly key: string;
  /** The {@link catalogueKey} on the source. */
  readonly id: string;
  readonly digest: string;
  readonly drop: string;
  /** Whether it is a trigger, rule or policy. Those that come with the parent's are not included. */
  readonly isRelationPart: boolean;
}

/** The keys of triggers, rules and policies by their OIDs: {@link Redefined.key} by {@link Redefined.id}. Plain JSON. */
export type PartKeys = Readonly<Record<string, string>>;

/** All definitions by users in a source's database, without extensions. The session's search_path has to be empty. */
export async function readDefinitions(source: Client): Promise<Redefined[]> {
  const objects = await readSchema(source, otherKinds, "digest");
  return objects.map((object) => ({
    key: `${object.kind} ${object.identity}`,
    id: object.id,
    digest: object.definition!,
    drop: dropStatement(object),
    isRelationPart: object.of !== null && !object.ofParent,
  }));
}

export function dropStatement({ kind, identity, name, of }: SchemaObject): string {
  const drop = `DROP ${kind.toUpperCase()}`;
  if (of) return `${drop} IF EXISTS ${quoteIdentifier(name)} ON ${qualify(of.schema, of.name)}`;
  return `${drop} ${kind === "aggregate" ? identity.replace(/\(\)$/, "(*)") : identity}`;
}

export const digestsOf = (defined: readonly Redefined[]): Definitions =>
  Object.fromEntries(defined.map(({ key, digest }) => [key, digest]));

export const partKeysOf = (defined: readonly Redefined[]): PartKeys =>
  Object.fromEntries(defined.filter(({ isRelationPart }) => isRelationPart).map(({ id, key }) => [id, key]));

/** Digests by present keys: triggers, rules and policies are renamed with their tables. */
export function underPresentKeys(before: Definitions, former: PartKeys, now: readonly Redefined[]): Definitions {
  const renamed = now.flatMap(({ id, key }) => {
    const digest = before[former[id] ?? key];
    return digest === undefined || (former[id] ?? key) === key ? [] : [[key, digest] as const];
  });
  return { ...before, ...Object.fromEntries(renamed) };
}

/** Objects with a changed definition. New objects are not included: they are missing on the target. */
export const redefinedSince = (before: Definitions, now: readonly Redefined[]): Redefined[] =>
  now.filter(({ key, digest }) => before[key] !== undefined && before[key] !== digest);

/** Converts a dump's entry so that it replaces the existing object. CREATE OR REPLACE RULE would keep a rule disabled. */
export function replaceEntry({ drop }: Redefined, entry: Entry): Entry {
  const create = /^\s*CREATE (?:OR REPLACE )?(FUNCTION|PROCEDURE|VIEW)\b/;
  if (!create.test(entry.sql)) return { ...entry, sql: `${drop};\n${entry.sql}` };
  return { ...entry, sql: entry.sql.replace(create, "CREATE OR REPLACE $1") };
}
