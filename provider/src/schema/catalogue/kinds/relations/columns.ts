import { defaultExpression } from "../../../../postgres/default-expression.js";
import { storedTree } from "../../../../postgres/stored-tree.js";
import { rulesOf } from "../../change-rule.js";
import { type Kind, type KindQuery, nameIn, ofRelation, sorted } from "../../kind.js";

export const columns: Kind = (version) => columnsOf("'r', 'p', 'f'", version);

export const viewColumns: Kind = (version) => ({ ...columnsOf("'v', 'm'", version), kind: "'view column'" });

const columnsOf = (relkinds: string, version: number): KindQuery => ({
  ...ofRelation("pg_attribute", "attrelid", "attname"),
  // A column has no OID.
  catalogue: "pg_class",
  oid: "r.oid",
  kind: "'column'",
  where: `r.relkind IN (${relkinds}) AND o.attnum > 0 AND NOT o.attisdropped`,
  owner: "r.relowner",
  acl: ["o.attacl", "c"],
  commented: "o.attnum",
  settings: {
    // The owner is that of the table.
    owner: "NULL",
    default: `(SELECT ${defaultExpression(version)} FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
      WHERE o.atthasdef AND d.adrelid = o.attrelid AND d.adnum = o.attnum)`,
    collation: `(SELECT ${nameIn("pg_collation", "coll", "o.attcollation")} FROM pg_type t WHERE t.oid = o.atttypid AND o.attcollation <> t.typcollation)`,
    storage: "(SELECT o.attstorage FROM pg_type t WHERE t.oid = o.atttypid AND o.attstorage <> t.typstorage)",
    "statistics target": "nullif(o.attstattarget, -1)::text",
    options: sorted("o.attoptions"),
    "foreign options": sorted("o.attfdwoptions"),
    "defined here": "o.attislocal",
    ...(version >= 100000 ? { identity: "nullif(o.attidentity, '')::text" } : {}),
    ...(version >= 120000 ? { generated: "nullif(o.attgenerated, '')::text" } : {}),
    ...(version >= 140000 ? { compression: "nullif(o.attcompression, '')::text" } : {}),
  },
  attributes: { type: "format_type(o.atttypid, o.atttypmod)", nullable: "NOT o.attnotnull" },
});

export interface DefaultDetails {
  readonly table: string;
  /** The table's OID and the column's number: `16384/2`. */
  readonly key: string;
}

/** Defaults and generation expressions of columns. */
export const defaults: Kind<DefaultDetails> = (version) => ({
  catalogue: "pg_attrdef",
  oid: "d.oid",
  from: "relation r JOIN pg_attrdef d ON d.adrelid = r.oid JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = d.adnum",
  schema: "r.schema",
  name: "a.attname",
  of: "r",
  identity: "r.identity || '.' || quote_ident(a.attname)",
  kind: "'default'",
  where: "r.relkind IN ('r', 'p')",
  details: { table: "r.oid::text", key: "r.oid || '/' || a.attnum" },
  definition: `coalesce(${defaultExpression(version)}, '')`,
  references: storedTree("d.adbin"),
});

export const columnRules = rulesOf("column", {
  added: {
    change: "added, nullable and without a default",
    action: "before",
    reason: "Earlier rows have no value for it.",
  },
  addedWithValue: {
    change: "added with a constant default",
    action: "before",
    reason: "The catalogue of the source has the value of the earlier rows.",
  },
  addedWithoutDefault: {
    change: "added with a default that calls a user's function, or that was set afterwards",
    action: "before",
    reason:
      "The default and NOT NULL follow. The target never computes values of earlier rows: a table that the source rewrote is copied again.",
  },
  addedOfNotNullDomain: {
    change: "added with a NOT NULL domain and a default, which calls a user's function or was set afterwards",
    action: "pause",
    reason: "Earlier rows of the target would get the default, and the function would run with the migration's role.",
  },
  addedComputed: {
    change: "added with NOT NULL, an identity, an expression or a volatile default",
    action: "at",
    reason: "The target computes values of earlier rows. A table that the source rewrote is copied again.",
    ifRefused: "pause",
  },
  lost: {
    change: "dropped on the target only",
    action: "before",
    reason: "The column is added again, and the table is copied again.",
  },
  dropped: { action: "pause", reason: "The target would lose the values." },
  renamed: { action: "at", reason: "Later rows have the new name.", ifRefused: "pause" },
  retyped: {
    change: "changed to another type",
    action: "at",
    reason:
      "The target casts the values. The catalogue does not contain the USING expression, so a table that the source rewrote is copied again.",
    ifRefused: "pause",
  },
  retypedByUsers: {
    change: "changed to another type, with a cast that calls a user's function",
    action: "pause",
    reason: "The function would run with the migration's role.",
  },
  nullable: { change: "DROP NOT NULL", action: "before", reason: "Earlier rows are accepted." },
  notNull: { change: "SET NOT NULL", action: "after", reason: "Earlier rows may violate it." },
});

export const defaultRules = rulesOf("default", {
  set: { change: "set or changed", action: "after", reason: "The stream contains the values." },
  dropped: { action: "after", reason: "The stream contains the values." },
});

export const identityRules = rulesOf("identity", {
  changed: { action: "after", reason: "The stream contains the values." },
  dropped: { action: "after", reason: "The stream contains the values." },
});

export const generatedColumnRules = rulesOf("generated column", {
  changed: {
    change: "changed to another expression",
    action: "after",
    reason: "The target computes the values. A table with such a column in its replica identity is copied again.",
  },
  dropped: {
    change: "DROP EXPRESSION",
    action: "at",
    reason: "Later rows have values of their own.",
    ifRefused: "pause",
  },
});
