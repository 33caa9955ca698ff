import type { Client } from "pg";
import { hasPortableBinaryForm } from "../copy/format.js";
import { quoteIdentifier } from "../postgres/identifiers.js";
import { type Column, type Table } from "../postgres/tables.js";

/** Properties of a type that its values' images depend on. */
interface Type {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: "array" | "composite" | "domain" | "range" | "other";
  /** Attributes of a composite type, in order. */
  readonly attributes: readonly { readonly name: string; readonly type: number }[] | null;
  /** The base type of a domain, the element type of an array, or the bounds' type of a range. */
  readonly inner: number | null;
  /** The name of that type for a cast, without modifiers. */
  readonly innerName: string | null;
}

/**
 * Creates an SQL expression of type bytea for a table's row: the row's image. It is the same on every server with the
 * same row, independent of version, encoding, locale and settings, and different for any other row.
 *
 * The image is the result of `record_send` for all columns. Each value follows its length, so that borders are
 * unambiguous, and NULL has a length of its own. Texts are in the session's encoding, always UTF-8. Numbers are exact
 * to the bit, except that all NaN of a float column are one value. `record_send` includes the OIDs of types, so that only
 * values of built-in types are allowed. Values of other types are first split into built-in values. Those that cannot be
 * split are converted to text: reg* by name, enums by label, xml, and base types of extensions.
 *
 * Every function is qualified, because the search_path may be the application's: other roles could add a better match.
 */
export class RowImages {
  readonly #types: ReadonlyMap<number, Type>;

  private constructor(types: ReadonlyMap<number, Type>) {
    this.#types = types;
  }

  /** Reads a server's types once, for any number of its tables. */
  static async of(client: Client): Promise<RowImages> {
    const { rows } = await client.query<{ types: Type[] | null }>(typesQuery);
    return new RowImages(new Map((rows[0]?.types ?? []).map((type) => [type.oid, type])));
  }

  /** The image of a table's row, or of some columns, in a query with this alias of the table. */
  image(table: Table, alias: string, columns: readonly Column[] = table.columns): string {
    return record(columns.map(({ name, typeOid }) => this.#value(typeOid, `${alias}.${quoteIdentifier(name)}`, 0)));
  }

  /** An expression of a built-in type that is different for each value of the type. */
  #value(typeOid: number, value: string, depth: number): string {
    const type = this.#types.get(typeOid);
    if (!type) return textOf(value);
    if (type.kind !== "domain" && this.#isPortable(type)) return this.#ofBuiltIn(type, value, depth);
    switch (type.kind) {
      case "domain": {
        const { inner, innerName } = this.#lowest(type);
        return this.#value(inner!, `(${value})::${innerName!}`, depth);
      }
      case "composite": {
        const attributes = type.attributes!.map((attribute) =>
          this.#value(attribute.type, `(${value}).${quoteIdentifier(attribute.name)}`, depth),
        );
        return `CASE WHEN ${isThere(value)} THEN ${record(attributes)} END`;
      }
      case "array":
        return this.#ofElements(type, value, depth);
      case "range":
        // The binary form of a range contains its bounds and no OID. Its text would depend on the version's format of
        // floats.
        return this.#isPortable(this.#types.get(type.inner!)) ? `pg_catalog.range_send(${value})` : textOf(value);
      case "other":
        // An XML declaration of version 1.0 is stored but not printed, so that copies and dumps do not contain it.
        return type.name === "xml" ? `pg_catalog.textin(pg_catalog.xml_out(${value}))` : textOf(value);
    }
  }

  /**
   * A NaN has a sign bit, which its text does not show. A copy or a stream in text format loses it. PostgreSQL considers
   * all NaN equal.
   */
  #ofBuiltIn(type: Type, value: string, depth: number): string {
    if (isFloat(type))
      return `CASE WHEN ${value} OPERATOR(pg_catalog.=) 'NaN'::pg_catalog.${type.name} THEN 'NaN' ELSE ${value} END`;
    const element = type.kind === "array" ? this.#types.get(type.inner!) : undefined;
    if (!element || !isFloat(element)) return value;
    const contains = `${value} OPERATOR(pg_catalog.@>) '{NaN}'::pg_catalog.${element.name}[]`;
    const sent = `pg_catalog.array_send(${value})`;
    return `CASE WHEN ${contains} THEN ${this.#ofElements(type, value, depth)} ELSE ${sent} END`;
  }

  #ofElements({ inner }: Type, value: string, depth: number): string {
    const element = `e${depth}`;
    const image = record([this.#value(inner!, `${element}.v`, depth + 1)]);
    const elements = `ARRAY(SELECT ${image} FROM (SELECT pg_catalog.unnest(${value}) AS v) AS ${element})`;
    return `CASE WHEN ${isThere(value)} THEN ${record([`pg_catalog.array_dims(${value})`, elements])} END`;
  }

  /** Skips domains. A cast to a domain would evaluate its checks, which older rows may violate. */
  #lowest(domain: Type): Type {
    const below = this.#types.get(domain.inner!);
    return below?.kind === "domain" ? this.#lowest(below) : domain;
  }

  #isPortable(type: Type | undefined): boolean {
    if (!type) return false;
    const element = type.kind === "array" ? this.#types.get(type.inner!) : undefined;
    return hasPortableBinaryForm({ baseTypeSchema: type.schema, baseType: type.name, element: element && of(element) });
  }
}

/**
 * IS NULL is also true for a composite of NULLs, and a source of 9.5 has no num_nulls(). Before 10, IS DISTINCT FROM finds its
 * operator by the search_path. This function returns NULL only for NULL.
 */
const isThere = (value: string): string => `pg_catalog.pg_column_size(${value}) IS NOT NULL`;

/** Uses the type's output function: a cast to text may be a function written by the type's owner. */
export const textOf = (value: string): string =>
  `CASE WHEN ${isThere(value)} THEN pg_catalog.format('%s', ${value}) END`;

const record = (values: readonly string[]): string => `pg_catalog.record_send(ROW(${values.join(", ")}))`;

const isFloat = ({ schema, name }: Type): boolean =>
  schema === "pg_catalog" && (name === "float4" || name === "float8");

const of = ({ schema, name }: Type): { schema: string; name: string; kind: string } => ({ schema, name, kind: "b" });

/** The types of all columns of users' tables, and the types that they are composed of. */
const typesQuery = `
WITH RECURSIVE used (oid) AS (
  SELECT a.atttypid
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
     AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  UNION
  SELECT part.oid
    FROM used JOIN pg_type t ON t.oid = used.oid
   CROSS JOIN LATERAL (
     SELECT t.typbasetype
     UNION ALL SELECT t.typelem
     UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid
     UNION ALL SELECT a.atttypid FROM pg_attribute a
                WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS part (oid)
   WHERE part.oid <> 0
), parted AS (
  SELECT t.oid, n.nspname AS schema, t.typname AS name, t.typrelid,
         CASE WHEN t.typtype = 'd' THEN 'domain' WHEN t.typtype = 'c' THEN 'composite' WHEN t.typtype = 'r' THEN 'range'
              WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN 'array'
              ELSE 'other' END AS kind,
         CASE WHEN t.typtype = 'd' THEN t.typbasetype
              WHEN t.typtype = 'r' THEN (SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid)
              WHEN t.typcategory = 'A' THEN t.typelem END AS inner_oid
    FROM used JOIN pg_type t ON t.oid = used.oid JOIN pg_namespace n ON n.oid = t.typnamespace
)
SELECT json_agg(json_build_object(
         'oid', p.oid::int8, 'schema', p.schema, 'name', p.name, 'kind', p.kind,
         'attributes', CASE WHEN p.kind = 'composite' THEN
            (SELECT json_agg(json_build_object('name', a.attname, 'type', a.atttypid::int8) ORDER BY a.attnum)
               FROM pg_attribute a WHERE a.attrelid = p.typrelid AND a.attnum > 0 AND NOT a.attisdropped) END,
         'inner', p.inner_oid::int8,
         'innerName', format_type(p.inner_oid, -1))) AS types
  FROM parted p`;
