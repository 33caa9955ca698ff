import { aRelation, type Kind } from "../kind.js";

export const indexes: Kind = () => ({
  ...aRelation,
  kind: "'index'",
  from: "relation o JOIN pg_index x ON x.indexrelid = o.oid JOIN relation r ON r.oid = x.indrelid",
  of: "r",
  attributes: { valid: "x.indisvalid", unique: "x.indisunique" },
  definition: "pg_get_indexdef(o.oid)",
});
