import { notExtensionMember } from "../../../../postgres/catalogue-filters.js";
import { storedTree } from "../../../../postgres/stored-tree.js";
import { rulesOf } from "../../change-rule.js";
import { joined, type Kind, ofRelation } from "../../kind.js";

/** A rule for the values of a table or domain: a constraint, or an index without one. */
export interface RuleDetails {
  /** Null for the index of a constraint. */
  readonly rule: "check" | "domain" | "foreign key" | "index" | "key" | "unique index" | null;
  /** Whether it belongs to a rule of the table's parent. */
  readonly inherited: boolean;
  /** The table that a foreign key refers to, qualified and quoted where necessary. Null for other kinds. */
  readonly refersTo: string | null;
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
    settings: { "defined here": "o.conislocal" },
    details: {
      rule: "CASE o.contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' ELSE 'key' END",
      inherited: `NOT o.conislocal OR ${ofParent}`,
      refersTo: "CASE o.contype WHEN 'f' THEN o.confrelid::regclass::text END",
    },
    definition: "pg_get_constraintdef(o.oid)",
    references: joined("o.conkey::text", "o.confrelid", "o.confkey::text", "o.conexclop::text", storedTree("o.conbin")),
  };
};

/** From 18 on, NOT NULL of a column is a constraint. */
export const notNullConstraints: Kind = (version) =>
  version < 180000
    ? undefined
    : {
        ...ofRelation("pg_constraint", "conrelid", "conname"),
        kind: "'not-null constraint'",
        where: "o.contype = 'n'",
        settings: { "defined here": "o.conislocal", valid: "o.convalidated" },
        definition: "pg_get_constraintdef(o.oid)",
      };

export const domainConstraints: Kind<RuleDetails> = () => ({
  ...ofRelation("pg_constraint", "contypid", "conname"),
  kind: "'domain constraint'",
  from: `pg_constraint o JOIN (SELECT t.oid, n.name AS schema, t.typname AS name, n.identity || '.' || quote_ident(t.typname) AS identity
    FROM pg_type t JOIN users_schema n ON n.oid = t.typnamespace WHERE ${notExtensionMember("pg_type", "t.oid")}) r ON r.oid = o.contypid`,
  where: "o.contype = 'c'",
  settings: { valid: "o.convalidated" },
  details: { rule: "'domain'", inherited: "false", refersTo: "NULL::text" },
  definition: "pg_get_constraintdef(o.oid)",
  references: storedTree("o.conbin"),
});

export const checkRules = rulesOf("check constraint", {
  created: { action: "after", reason: "Earlier rows may violate it." },
  renamed: { action: "before", reason: "Rows do not depend on its name." },
  replaced: {
    change: "replaced by another definition",
    action: "before",
    reason: "Later rows may violate the former.",
  },
  dropped: { action: "at", reason: "Later rows may violate it.", ifRefused: "pause" },
  onlyOnTarget: { change: "only on the target", action: "pause", reason: "It may reject rows of the source." },
});

export const domainConstraintRules = rulesOf("domain constraint", {
  created: { action: "after", reason: "Earlier rows may violate it." },
  renamed: { action: "before", reason: "Rows do not depend on its name." },
  replaced: {
    change: "replaced by another definition",
    action: "before",
    reason: "Later rows may violate the former.",
  },
  dropped: { action: "before", reason: "Rows are accepted without it." },
  onlyOnTarget: { change: "only on the target", action: "pause", reason: "It may reject rows of the source." },
});

export const foreignKeyRules = rulesOf("foreign key", {
  created: {
    action: "after",
    reason:
      "Earlier rows may violate it. If the target's role may not set session_replication_role, it is created at the cutover.",
  },
  renamed: { action: "before", reason: "Rows do not depend on its name." },
  replaced: {
    change: "replaced by another definition",
    action: "before",
    reason: "Later rows may violate the former.",
  },
  dropped: { action: "before", reason: "Rows are accepted without it." },
  onlyOnTarget: { change: "only on the target", action: "keep", reason: "You may need it there." },
});

export const keyRules = rulesOf("primary key, unique or exclusion constraint", {
  created: { action: "after", reason: "Earlier rows may violate it." },
  renamed: { action: "before", reason: "Rows do not depend on its name." },
  replaced: {
    change: "replaced by another definition",
    action: "before",
    reason: "Rows from before and after may each violate the other one. A plain index finds rows meanwhile.",
    ifRefused: "pause",
  },
  neededOnTarget: {
    change: "replaced, while an object that only the target has needs it",
    action: "pause",
    reason: "The worker never drops such an object.",
  },
  dropped: {
    action: "at",
    reason: "Later rows may violate it. Objects that only the target has may need it.",
    ifRefused: "pause",
  },
  onlyOnTarget: { change: "only on the target", action: "pause", reason: "It may reject rows of the source." },
});
