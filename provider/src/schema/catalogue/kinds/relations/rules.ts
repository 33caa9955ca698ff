import { storedTree } from "../../../../postgres/stored-tree.js";
import { relationPartRules } from "../../change-rule.js";
import { joined, type Kind, ofRelation } from "../../kind.js";

export const rules: Kind = () => ({
  ...ofRelation("pg_rewrite", "ev_class", "rulename"),
  kind: "'rule'",
  where: "o.rulename <> '_RETURN'",
  definition: "concat_ws(' ', pg_get_ruledef(o.oid), o.ev_enabled)",
  references: joined(storedTree("o.ev_action", "o.ev_class"), storedTree("o.ev_qual")),
});

export const ruleRules = relationPartRules("rule");
