import { relationPartRules } from "../../change-rule.js";
import { type Kind, ofRelation } from "../../kind.js";

export const rules: Kind = () => ({
  ...ofRelation("pg_rewrite", "ev_class", "rulename"),
  kind: "'rule'",
  where: "o.rulename <> '_RETURN'",
  definition: "concat_ws(' ', pg_get_ruledef(o.oid), o.ev_enabled)",
});

export const ruleRules = relationPartRules("rule");
