import { notExtensionMember } from "../../../postgres/catalogue-filters.js";
import { type Kind, ofRelation } from "../kind.js";

export const constraints: Kind = (version) => ({
  ...ofRelation("pg_constraint", "conrelid", "conname"),
  kind: "'constraint'",
  where: "o.contype IN ('c', 'f', 'p', 'u', 'x')",
  // It is created with its parent's, under a name that the server chooses.
  ofParent: version >= 110000 ? "o.conparentid <> 0" : "false",
  attributes: { valid: "o.convalidated" },
  definition: "pg_get_constraintdef(o.oid)",
});

export const domainConstraints: Kind = () => ({
  ...ofRelation("pg_constraint", "contypid", "conname"),
  kind: "'domain constraint'",
  from: `pg_constraint o JOIN (SELECT t.oid, n.name AS schema, t.typname AS name, n.identity || '.' || quote_ident(t.typname) AS identity
    FROM pg_type t JOIN users_schema n ON n.oid = t.typnamespace WHERE ${notExtensionMember("pg_type", "t.oid")}) r ON r.oid = o.contypid`,
  where: "o.contype = 'c'",
  definition: "pg_get_constraintdef(o.oid)",
});
