import { notExtensionMember } from "../../postgres/catalogue-filters.js";

/**
 * How the objects of one kind are read from the catalogue, as SQL expressions. `from` may use the sets `users_schema` (oid,
 * name, identity) and `relation` (oid, relkind, schema, name, identity), which contain only users' own objects.
 *
 * @typeParam Details names of the {@link KindQuery.details}
 */
export interface KindQuery<Details extends object = object> extends Place {
  /** SQL for the kind as in PostgreSQL's commands: `'view'`. */
  readonly kind: string;
  /** Condition in addition to that of the {@link Place}. */
  readonly where?: string;
  /** True for a part of a partition that the server created with its parent's, under a name that the server chose. */
  readonly ofParent?: string;
  /** Properties that are equal in all versions of PostgreSQL: texts, or booleans named after their true value. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** Properties that may differ between equal objects of two servers. */
  readonly details?: Readonly<Record<keyof Details, string>>;
  /** The definition as this server prints it. Other versions may print it otherwise. May wait for locks of tables. */
  readonly definition?: string;
}

/** Returns undefined for versions without this kind of object. */
export type Kind<Details extends object = object> = (version: number) => KindQuery<Details> | undefined;

/** Where the objects are, and what they are called. */
interface Place {
  readonly catalogue: string;
  /** OID in the catalogue, by default `o.oid`. */
  readonly oid?: string;
  readonly from: string;
  /** Names as in the catalogue. `of` is an alias of the object that this one is a part of. */
  readonly schema: string;
  readonly name: string;
  readonly of?: string;
  /** Unique among the objects of the kind; quoted where necessary. */
  readonly identity: string;
  readonly own?: string;
}

/** An object in a schema. @param prefix of the catalogue's columns */
export const inSchema = (catalogue: string, prefix: string): Place => ({
  catalogue,
  from: `${catalogue} o JOIN users_schema n ON n.oid = o.${prefix}namespace`,
  schema: "n.name",
  name: `o.${prefix}name`,
  identity: `n.identity || '.' || quote_ident(o.${prefix}name)`,
  own: notExtensionMember(catalogue, "o.oid"),
});

/** A part of a table or view. @param relation its column that references the table */
export const ofRelation = (catalogue: string, relation: string, name: string): Place => ({
  catalogue,
  from: `${catalogue} o JOIN relation r ON r.oid = o.${relation}`,
  schema: "r.schema",
  name: `o.${name}`,
  of: "r",
  identity: `r.identity || '.' || quote_ident(o.${name})`,
});

/** An object without a schema. */
export const ofDatabase = (catalogue: string, name: string): Place => ({
  catalogue,
  from: `${catalogue} o`,
  schema: "''",
  name,
  identity: `quote_ident(${name})`,
  own: notExtensionMember(catalogue, "o.oid"),
});

export const aRelation: Place = {
  catalogue: "pg_class",
  from: "relation o",
  schema: "o.schema",
  name: "o.name",
  identity: "o.identity",
};

/** A catalogue's row as text, without columns that do not belong to the definition. */
export const rowOf = (row: string, ...without: readonly string[]): string =>
  `(to_jsonb(${row}) - 'oid'${without.map((column) => ` - '${column}'`).join("")})::text`;
