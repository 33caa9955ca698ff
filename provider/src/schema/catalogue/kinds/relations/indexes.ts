import type { RelationName } from "../../../../postgres/identifiers.js";
import { storedTree } from "../../../../postgres/stored-tree.js";
import { rulesOf } from "../../change-rule.js";
import { aRelation, joined, type Kind, sorted, tablespaceOf } from "../../kind.js";
import type { RuleDetails } from "./constraints.js";

export interface IndexDetails extends RuleDetails {
  /** The index of the partitioned table that it belongs to. */
  readonly parent: RelationName | null;
}

export const indexes: Kind<IndexDetails> = (version) => ({
  ...aRelation,
  kind: "'index'",
  from: `relation o JOIN pg_index x ON x.indexrelid = o.oid JOIN relation r ON r.oid = x.indrelid
    LEFT JOIN pg_constraint k ON k.conindid = o.oid AND k.contype IN ('p', 'u', 'x')
    LEFT JOIN (pg_inherits h JOIN relation p ON p.oid = h.inhparent) ON h.inhrelid = o.oid`,
  of: "r",
  attributes: { valid: "x.indisvalid", unique: "x.indisunique" },
  settings: {
    // The owner is that of the table.
    owner: "NULL",
    options: sorted("o.reloptions"),
    tablespace: tablespaceOf("o.reltablespace"),
    parent: "p.identity",
    ...(version >= 110000 ? { "statistics targets": statisticsTargets } : {}),
  },
  details: {
    rule: "CASE WHEN k.oid IS NOT NULL THEN NULL WHEN x.indisunique THEN 'unique index' ELSE 'index' END",
    inherited: "p.oid IS NOT NULL",
    refersTo: "NULL::text",
    parent: "CASE WHEN p.oid IS NOT NULL THEN json_build_object('schema', p.schema, 'name', p.name) END",
  },
  // The constraint has the definition of its index. Printing one waits for locks of the table.
  definition: "CASE WHEN k.oid IS NULL THEN pg_get_indexdef(o.oid) ELSE '' END",
  references: joined("x.indkey", "x.indclass", "x.indcollation", storedTree("x.indexprs"), storedTree("x.indpred")),
});

/** The statistics targets of expressions, which have no column names. */
const statisticsTargets = `ARRAY(
  SELECT format('%s %s', a.attnum, a.attstattarget) FROM pg_attribute a WHERE a.attrelid = o.oid AND a.attnum > 0 AND a.attstattarget >= 0 ORDER BY a.attnum)`;

export const indexRules = rulesOf("index", {
  created: { action: "after", reason: "Rows are accepted without it." },
  renamed: { action: "before", reason: "Rows do not depend on its name." },
  replaced: { change: "replaced by another definition", action: "before", reason: "Rows are accepted without it." },
  dropped: { action: "before", reason: "Rows are accepted without it." },
  temporary: {
    change: "temporary index of a replaced key",
    action: "after",
    reason: "The new key finds the rows then.",
  },
  onlyOnTarget: { change: "only on the target", action: "keep", reason: "You may need it there." },
});

export const uniqueIndexRules = rulesOf("unique index", {
  created: { action: "after", reason: "Earlier rows may violate it." },
  renamed: { action: "before", reason: "Rows do not depend on its name." },
  replaced: {
    change: "replaced by another definition",
    action: "before",
    reason: "Rows from before and after may each violate the other one. A plain index finds rows meanwhile.",
    ifRefused: "pause",
  },
  dropped: { action: "at", reason: "Later rows may violate it.", ifRefused: "pause" },
  onlyOnTarget: { change: "only on the target", action: "pause", reason: "It may reject rows of the source." },
});
