import { defaultExpression } from "../../../postgres/default-expression.js";
import { type Kind, ofRelation } from "../kind.js";

export const columns: Kind = () => ({
  ...ofRelation("pg_attribute", "attrelid", "attname"),
  // A column has no OID.
  catalogue: "pg_class",
  oid: "r.oid",
  kind: "'column'",
  where: "r.relkind IN ('r', 'p', 'f') AND o.attnum > 0 AND NOT o.attisdropped",
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
});
