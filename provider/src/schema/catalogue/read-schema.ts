import type { Client } from "pg";
import { notExtensionMember, userSchemas } from "../../postgres/catalogue-filters.js";
import { serverVersion } from "../../postgres/server-version.js";
import type { Kind, KindQuery } from "./kind.js";
import { labelsOf, privilegesOf } from "./privileges.js";

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
  /** The table, view or domain that it is a part of. Null among attributes. */
  readonly of: { readonly schema: string; readonly name: string } | null;
  /** Unique among the objects of the kind, and quoted where necessary: `public.orders.id`, `sales.total(integer)`. */
  readonly identity: string;
  readonly ofParent: boolean;
  /** Empty unless requested. */
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  /** Empty among attributes. */
  readonly details: Details;
  /** Null unless requested. */
  readonly definition: string | null;
  /** A digest of the objects that the definition refers to; empty for a kind without any. Null unless a definition is requested. */
  readonly references: string | null;
}

/** Null: the object does not have it, or has the default. */
export type AttributeValue = string | boolean | readonly string[] | null;

/**
 * What is read of each object:
 *
 * - `attributes`: attributes, which all versions of PostgreSQL print alike
 * - `complete`: all attributes, which include settings, owner, privileges, comment and definition
 * - `details`: details without the definition
 * - `digest`, `text`: details with the digest or the text of the definition. The digest does not depend on the object's own name.
 *
 * Only the printing of definitions may wait for locks of tables.
 */
export type Reading = "attributes" | "complete" | "details" | "digest" | "text";

/**
 * Reads all objects of some kinds in one query, sorted by kind and identity as bytes. The session's search_path has to be
 * empty.
 *
 * @example
 * for (const { identity, definition } of await readSchema(session, [views], "text")) console.log(identity, definition);
 */
export async function readSchema<Details extends object>(
  client: Client,
  kinds: readonly Kind<Details>[],
  reading: Reading,
): Promise<SchemaObject<Details>[]> {
  const version = await serverVersion(client);
  const queries = kinds.flatMap((kind) => kind(version) ?? []).map((query) => objectsQuery(query, reading));
  const { rows } = await client.query<SchemaObject<Details>>(
    `${usersObjects}\n${queries.join("\nUNION ALL\n")}\nORDER BY kind, identity`,
  );
  // The server prints NULL for an object that another session has dropped since the query began.
  return reading === "text" ? rows.filter(({ definition }) => definition !== null) : rows;
}

const usersObjects = `
WITH users_schema AS (
  SELECT n.oid, n.nspname AS name, quote_ident(n.nspname) AS identity FROM pg_namespace n
   WHERE ${userSchemas("n")} AND n.nspname <> 'pgmigration'
), relation AS (
  SELECT c.oid, c.relkind, n.name AS schema, c.relname AS name, n.identity || '.' || quote_ident(c.relname) AS identity, c.reloptions,
         c.relowner, c.relacl, c.relpersistence, c.reltablespace, c.relreplident, c.relrowsecurity, c.relforcerowsecurity, c.reltoastrelid, c.reloftype, c.relam
    FROM pg_class c JOIN users_schema n ON n.oid = c.relnamespace
   WHERE c.relpersistence <> 't' AND ${notExtensionMember("pg_class", "c.oid")}
)`;

function objectsQuery(query: KindQuery, reading: Reading): string {
  const { catalogue, oid = "o.oid", of, own = "true", where = "true", ofParent = "false", definition = "''" } = query;
  const references = query.references === undefined ? "''" : `left(md5(coalesce(${query.references}, '')), 8)`;
  const isCompared = reading === "attributes" || reading === "complete";
  const attributes = reading === "complete" ? completeAttributes(query) : query.attributes;
  const printed = {
    attributes: "NULL",
    complete: "NULL",
    details: "NULL",
    digest: digestWithout(`quote_ident(${query.schema}) || '.' || quote_ident(${query.name})`, definition),
    text: definition,
  };
  const parent =
    reading === "attributes" || of === undefined
      ? "NULL"
      : `json_build_object('schema', ${of}.schema, 'name', ${of}.name)`;
  return `SELECT ${query.kind}::text COLLATE "C" AS kind, '${catalogue}'::regclass::oid || '/' || ${oid} AS id, ${oid}::text AS oid,
       ${query.schema}::text AS schema, ${query.name}::text AS name, ${parent}::json AS of, (${query.identity}) COLLATE "C" AS identity,
       ${ofParent} AS "ofParent", ${asJson(isCompared ? attributes : {})} AS attributes,
       ${asJson(isCompared ? {} : query.details)} AS details, (${printed[reading]})::text AS definition,
       ${printed[reading] === "NULL" ? "NULL" : references}::text AS references
  FROM ${query.from}
 WHERE ${own} AND ${where}`;
}

/** OFFSET prevents that the server prints the definition more than once. @param own the qualified name at its beginning */
const digestWithout = (own: string, definition: string): string => `(
  SELECT md5(CASE WHEN place > 0 THEN overlay(printed PLACING '' FROM place FOR length(own)) ELSE printed END)
    FROM (SELECT printed, own, strpos(printed, own) AS place FROM (SELECT coalesce((${definition})::text, '') AS printed, coalesce(${own}, '') AS own OFFSET 0) AS one) AS two)`;

function completeAttributes(query: KindQuery): Readonly<Record<string, string>> {
  const { catalogue, oid = "o.oid", owner, acl, commented, definition } = query;
  const described = `d.classoid = '${catalogue}'::regclass AND d.objoid = ${oid} AND d.objsubid = ${commented ?? ""}`;
  return {
    ...(definition === undefined ? {} : { definition: `(${definition})::text` }),
    ...(owner === undefined ? {} : { owner: `pg_get_userbyid(${owner})` }),
    ...(acl === undefined || owner === undefined ? {} : { privileges: privilegesOf(acl, owner) }),
    ...(commented === undefined
      ? {}
      : { comment: `(SELECT description FROM pg_description d WHERE ${described})`, labels: labelsOf(described) }),
    ...query.attributes,
    ...query.settings,
  };
}

function asJson(values: Readonly<Record<string, string>> = {}): string {
  const pairs = Object.entries(values).map(([name, sql]) => `'${name}', ${sql}`);
  return pairs.length === 0 ? "'{}'::json" : `json_build_object(${pairs.join(", ")})`;
}
