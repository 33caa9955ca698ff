import type { Client } from "pg";
import { hasPortableBinaryForm } from "../copy/format.js";
import { quoteIdentifier } from "../postgres/identifiers.js";
import { type Column, type Table } from "../postgres/tables.js";

/** A type as far as its values' image needs it. */
interface Type {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: "array" | "composite" | "domain" | "range" | "other";
  /** Of a composite: its attributes in order. */
  readonly attributes: readonly { readonly name: string; readonly type: number }[] | null;
  /** The type below a domain, an array's element, the type of a range's bounds. */
  readonly inner: number | null;
  /** That type's name for a cast, without modifiers. */
  readonly innerName: string | null;
}

/**
 * Writes, for a table's row, an SQL expression of type bytea: the row's image. It is the same on every server that holds
 * the same row, whatever its version, encoding, locale and settings, and different for any other row.
 *
 * The image is what `record_send` makes of all columns: every value is preceded by its length, so that borders
 * cannot shift, and NULL is a length of its own; texts are in the session's encoding, always UTF-8; numbers are exact to
 * the bit. It names types by OID, so only values of built-in types may enter; a value of any other type is taken apart
 * first, down to built-in values, and enters as text where it cannot be: reg* by name, enums by label, xml, and base types
 * of extensions, whose text form is theirs to keep.
 */
export class RowImages {
  readonly #types: ReadonlyMap<number, Type>;

  private constructor(types: ReadonlyMap<number, Type>) {
    this.#types = types;
  }

  /** Asks a server for its types once, for any number of its tables. */
  static async of(client: Client): Promise<RowImages> {
    const { rows } = await client.query<{ types: Type[] | null }>(typesQuery);
    return new RowImages(new Map((rows[0]?.types ?? []).map((type) => [type.oid, type])));
  }

  /** The image of a table's row, or of some of its columns, in a query where the table has the alias. */
  image(table: Table, alias: string, columns: readonly Column[] = table.columns): string {
    return record(columns.map(({ name, typeOid }) => this.#value(typeOid, `${alias}.${quoteIdentifier(name)}`, 0)));
  }

  /** An expression of a built-in type that tells each value of the type from every other one. */
  #value(typeOid: number, value: string, depth: number): string {
    const type = this.#types.get(typeOid);
    if (!type || (type.kind !== "domain" && this.#isPortable(type))) return type ? value : textOf(value);
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
      case "array": {
        const element = `e${depth}`;
        const image = record([this.#value(type.inner!, `${element}.v`, depth + 1)]);
        const elements = `ARRAY(SELECT ${image} FROM (SELECT unnest(${value}) AS v) AS ${element})`;
        return `CASE WHEN ${isThere(value)} THEN ${record([`array_dims(${value})`, elements])} END`;
      }
      case "range":
        // The binary form of a range is that of its bounds and no OID; its text would print floats as the version does.
        return this.#isPortable(this.#types.get(type.inner!)) ? `range_send(${value})` : textOf(value);
      case "other":
        // An XML declaration of version 1.0 is stored but not printed, so no copy or dump carries it.
        return type.name === "xml" ? `textin(xml_out(${value}))` : textOf(value);
    }
  }

  /** A cast to a domain in between would run that one's checks, which rows from before them need not pass. */
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

/** IS NULL would take a composite of NULLs for a NULL, and a source of 9.5 has no num_nulls(). */
const isThere = (value: string): string => `(${value}) IS DISTINCT FROM NULL`;

/** By the type's output function: a cast to text may be a function that the type's owner wrote. */
export const textOf = (value: string): string => `CASE WHEN ${isThere(value)} THEN format('%s', ${value}) END`;

const record = (values: readonly string[]): string => `record_send(ROW(${values.join(", ")}))`;

const of = ({ schema, name }: Type): { schema: string; name: string; kind: string } => ({ schema, name, kind: "b" });

/** The types of all columns of users' tables, and what they are made of. */
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
