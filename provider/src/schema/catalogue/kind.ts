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
  /** As attributes: what ALTER changes while the object exists. Only a complete reading contains them. Arrays are lists. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Properties that may differ between equal objects of two servers. */
  readonly details?: Readonly<Record<keyof Details, string>>;
  /** The definition as this server prints it. Other versions may print it otherwise. May wait for locks of tables. */
  readonly definition?: string;
  /**
   * A text that changes with the objects and columns that the definition refers to, in contrast to their names. Where it is
   * undefined, the definition refers to nothing, or the source is compared in another way.
   */
  readonly references?: string;
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
  /** OID of the owner. */
  readonly owner?: string;
  /** The privileges, and the letter that acldefault() has for the kind of object. */
  readonly acl?: readonly [acl: string, letter: string];
  /** Number of the column that a comment is on; 0 for other objects. Undefined: it has no comment. */
  readonly commented?: string;
}

/** An object with an owner in a schema. @param prefix of the catalogue's columns */
export const inSchema = (catalogue: string, prefix: string): Place => ({
  catalogue,
  from: `${catalogue} o JOIN users_schema n ON n.oid = o.${prefix}namespace`,
  schema: "n.name",
  name: `o.${prefix}name`,
  identity: `n.identity || '.' || quote_ident(o.${prefix}name)`,
  own: notExtensionMember(catalogue, "o.oid"),
  owner: `o.${prefix}owner`,
  commented: "0",
});

/** A part of a table or view. @param relation its column that references the table */
export const ofRelation = (catalogue: string, relation: string, name: string): Place => ({
  catalogue,
  from: `${catalogue} o JOIN relation r ON r.oid = o.${relation}`,
  schema: "r.schema",
  name: `o.${name}`,
  of: "r",
  identity: `r.identity || '.' || quote_ident(o.${name})`,
  commented: "0",
});

/** An object without a schema. */
export const ofDatabase = (catalogue: string, name: string): Place => ({
  catalogue,
  from: `${catalogue} o`,
  schema: "''",
  name,
  identity: `quote_ident(${name})`,
  own: notExtensionMember(catalogue, "o.oid"),
  commented: "0",
});

export const aRelation: Place = {
  catalogue: "pg_class",
  from: "relation o",
  schema: "o.schema",
  name: "o.name",
  identity: "o.identity",
  owner: "o.relowner",
  commented: "0",
};

/** The names of catalogue entries instead of their OIDs, which differ between servers. */
export const nameIn = (catalogue: string, prefix: string, oid: string): string =>
  `(SELECT format('%I.%I', x.nspname, y.${prefix}name) FROM ${catalogue} y JOIN pg_namespace x ON x.oid = y.${prefix}namespace WHERE y.oid = ${oid})`;

/** Texts and OIDs as one text. NULL counts as nothing. */
export const joined = (...texts: readonly string[]): string => `concat_ws(' ', ${texts.join(", ")})`;

/** A list in a fixed order; empty for NULL. @param array SQL of type text[] */
export const sorted = (array: string): string =>
  `ARRAY(SELECT one FROM unnest(${array}) AS one ORDER BY one COLLATE "C")`;

export const tablespaceOf = (oid: string): string => `(SELECT spcname FROM pg_tablespace WHERE oid = ${oid})`;
