import { rulesOf } from "../../change-rule.js";
import { aRelation, type Kind } from "../../kind.js";

const { owner: _, commented: __, ...place } = aRelation;

/** Partitions with their bounds, and children of other tables. `of` is the parent. */
export const inheritances: Kind = (version) => ({
  ...place,
  kind: "CASE p.relkind WHEN 'p' THEN 'partition' ELSE 'inheritance' END",
  from: "pg_inherits h JOIN relation o ON o.oid = h.inhrelid JOIN relation p ON p.oid = h.inhparent",
  where: "o.relkind IN ('r', 'p', 'f')",
  of: "p",
  identity: "o.identity || ' of ' || p.identity",
  definition:
    version >= 100000
      ? "coalesce((SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_class c WHERE c.oid = o.oid AND c.relispartition), '')"
      : "''",
});

export const partitionRules = rulesOf("partition", {
  attached: { action: "after", reason: "Earlier rows may be outside the bounds." },
  detached: {
    action: "before",
    reason: "The stream names the partition itself. Its other changes need the statement.",
  },
});

export const inheritanceRules = rulesOf("inheritance", {
  added: { action: "after", reason: "The table has the columns of its parent then." },
  removed: { action: "before", reason: "The stream names the table itself. Its other changes need the statement." },
});
