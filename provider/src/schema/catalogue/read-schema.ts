import type { Client } from "pg";
import { notExtensionMember, userSchemas } from "../../postgres/catalogue-filters.js";
import { serverVersion } from "../../postgres/server-version.js";
import type { Kind, KindQuery } from "./kind.js";

/** An object of a database's schema. Objects of extensions, of PostgreSQL and of temporary schemas are not included. */
export interface SchemaObject<Details extends object = object> {
  /** As in PostgreSQL's commands: `view`, `materialized view`, `function`. */
  readonly kind: string;
  /** The `catalogueKey` of the object, or of its table if it is a column or an inheritance. */
  readonly id: string;
  readonly oid: string;
  /** Names as in the catalogue. The schema is empty for an object without one. */
  readonly schema: string;
  readonly name: string;
  /** The table, view or domain that it is a part of. */
  readonly of: { readonly schema: string; readonly name: string } | null;
  /** Unique among the objects of the kind, and quoted where necessary: `public.orders.id`, `sales.total(integer)`. */
  readonly identity: string;
  readonly ofParent: boolean;
  readonly attributes: Readonly<Record<string, string | boolean | null>>;
  readonly details: Details;
  /** Null unless it was requested. */
  readonly definition: string | null;
}

/** Without definitions, no lock of a table makes the reader wait. */
export type Definition = "none" | "digest" | "text";

/**
 * Reads all objects of some kinds in one query, sorted by kind and identity. The session's search_path has to be empty.
 *
 * @example
 * for (const { identity, definition } of await readSchema(session, [views], "text")) console.log(identity, definition);
 */
export async function readSchema<Details extends object>(
  client: Client,
  kinds: readonly Kind<Details>[],
  definition: Definition = "none",
): Promise<SchemaObject<Details>[]> {
  const version = await serverVersion(client);
  const queries = kinds.flatMap((kind) => kind(version) ?? []).map((query) => objectsQuery(query, definition));
  const { rows } = await client.query<SchemaObject<Details>>(
    `${usersObjects}\n${queries.join("\nUNION ALL\n")}\nORDER BY kind, identity`,
  );
  return rows;
}

const usersObjects = `
WITH users_schema AS (
  SELECT n.oid, n.nspname AS name, quote_ident(n.nspname) AS identity FROM pg_namespace n
   WHERE ${userSchemas("n")} AND n.nspname <> 'pgmigration'
), relation AS (
  SELECT c.oid, c.relkind, n.name AS schema, c.relname AS name, n.identity || '.' || quote_ident(c.relname) AS identity, c.reloptions
    FROM pg_class c JOIN users_schema n ON n.oid = c.relnamespace
   WHERE c.relpersistence <> 't' AND ${notExtensionMember("pg_class", "c.oid")}
)`;

function objectsQuery(query: KindQuery, definition: Definition): string {
  const { catalogue, oid = "o.oid", of, own = "true", where = "true", ofParent = "false" } = query;
  const text = query.definition ?? "''";
  const printed = { none: "NULL::text", digest: `md5(coalesce(${text}, ''))`, text };
  const parent = of === undefined ? "NULL::json" : `json_build_object('schema', ${of}.schema, 'name', ${of}.name)`;
  return `SELECT ${query.kind}::text AS kind, '${catalogue}'::regclass::oid || '/' || ${oid} AS id, ${oid}::text AS oid,
       ${query.schema}::text AS schema, ${query.name}::text AS name, ${parent} AS of, ${query.identity} AS identity, ${ofParent} AS "ofParent",
       ${asJson(query.attributes)} AS attributes, ${asJson(query.details)} AS details, ${printed[definition]} AS definition
  FROM ${query.from}
 WHERE ${own} AND ${where}`;
}

const asJson = (values: Readonly<Record<string, string>> = {}): string =>
  `json_build_object(${Object.entries(values)
    .map(([name, sql]) => `'${name}', ${sql}`)
    .join(", ")})`;
