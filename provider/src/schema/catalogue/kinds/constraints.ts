import { notExtensionMember } from "../../../postgres/catalogue-filters.js";
import { type Kind, ofRelation } from "../kind.js";

/** A rule for the values of a table or domain: a constraint, or an index without one. */
export interface RuleDetails {
  /** Null for the index of a constraint. */
  readonly rule: "check" | "domain" | "foreign key" | "index" | "key" | "unique index" | null;
  /** Whether it belongs to a rule of the table's parent. */
  readonly inherited: boolean;
}

export const constraints: Kind<RuleDetails> = (version) => {
  // It is created with its parent's, under a name that the server chooses.
  const ofParent = version >= 110000 ? "o.conparentid <> 0" : "false";
  return {
    ...ofRelation("pg_constraint", "conrelid", "conname"),
    kind: "'constraint'",
    where: "o.contype IN ('c', 'f', 'p', 'u', 'x')",
    ofParent,
    attributes: { valid: "o.convalidated" },
    details: {
      rule: "CASE o.contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' ELSE 'key' END",
      inherited: `NOT o.conislocal OR ${ofParent}`,
    },
    definition: "pg_get_constraintdef(o.oid)",
  };
};

export const domainConstraints: Kind<RuleDetails> = () => ({
  ...ofRelation("pg_constraint", "contypid", "conname"),
  kind: "'domain constraint'",
  from: `pg_constraint o JOIN (SELECT t.oid, n.name AS schema, t.typname AS name, n.identity || '.' || quote_ident(t.typname) AS identity
    FROM pg_type t JOIN users_schema n ON n.oid = t.typnamespace WHERE ${notExtensionMember("pg_type", "t.oid")}) r ON r.oid = o.contypid`,
  where: "o.contype = 'c'",
  details: { rule: "'domain'", inherited: "false" },
  definition: "pg_get_constraintdef(o.oid)",
});
