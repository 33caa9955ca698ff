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
}

/** All definitions by users in a source's database, without extensions. The session's search_path has to be empty. */
export async function readDefinitions(source: Client): Promise<Redefined[]> {
  const objects = await readSchema(source, otherKinds, "digest");
  return objects.map((object) => ({
    key: `${object.kind} ${object.identity}`,
    id: object.id,
    digest: object.definition!,
    drop: dropStatement(object),
  }));
}

export function dropStatement({ kind, identity, name, of }: SchemaObject): string {
  const drop = `DROP ${kind.toUpperCase()}`;
  if (of) return `${drop} IF EXISTS ${quoteIdentifier(name)} ON ${qualify(of.schema, of.name)}`;
  return `${drop} ${kind === "aggregate" ? identity.replace(/\(\)$/, "(*)") : identity}`;
}

export const digestsOf = (defined: readonly Redefined[]): Definitions =>
  Object.fromEntries(defined.map(({ key, digest }) => [key, digest]));

/** Objects with a changed definition. New objects are not included: they are missing on the target. */
export const redefinedSince = (before: Definitions, now: readonly Redefined[]): Redefined[] =>
  now.filter(({ key, digest }) => before[key] !== undefined && before[key] !== digest);

/** Converts a dump's entry so that it replaces the existing object. */
export function replaceEntry({ drop }: Redefined, entry: Entry): Entry {
  const create = /CREATE (?:OR REPLACE )?(FUNCTION|PROCEDURE|VIEW|RULE)\b/;
  if (!create.test(entry.sql)) return { ...entry, sql: `${drop};\n${entry.sql}` };
  return { ...entry, sql: entry.sql.replace(create, "CREATE OR REPLACE $1") };
}
