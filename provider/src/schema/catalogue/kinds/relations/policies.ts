import { storedTree } from "../../../../postgres/stored-tree.js";
import { relationPartRules } from "../../change-rule.js";
import { joined, type Kind, ofRelation } from "../../kind.js";

export const policies: Kind = (version) => ({
  ...ofRelation("pg_policy", "polrelid", "polname"),
  kind: "'policy'",
  definition: `concat_ws(' ', o.polcmd, ${version >= 100000 ? "o.polpermissive" : "true"},
    (SELECT string_agg(coalesce(a.rolname, 'public'), ',') FROM unnest(o.polroles) AS one (oid) LEFT JOIN pg_roles a USING (oid)),
    pg_get_expr(o.polqual, o.polrelid), '/', pg_get_expr(o.polwithcheck, o.polrelid))`,
  references: joined(storedTree("o.polqual"), "'/'", storedTree("o.polwithcheck")),
});

export const policyRules = relationPartRules("policy");
