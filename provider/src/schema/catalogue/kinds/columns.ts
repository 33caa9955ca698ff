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
