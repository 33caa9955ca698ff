import { renamedOrMoved, restoredRules, rulesOf } from "../../change-rule.js";
import { storedTree } from "../../../../postgres/stored-tree.js";
import { aRelation, type Kind, sorted, tablespaceOf } from "../../kind.js";
import { clusteredOn, storageParameters } from "./tables.js";

export const views: Kind = () => ({
  ...aRelation,
  kind: "CASE o.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END",
  where: "o.relkind IN ('v', 'm')",
  acl: ["o.relacl", "r"],
  settings: {
    options: `CASE o.relkind WHEN 'v' THEN ${sorted("o.reloptions")} ELSE ${storageParameters} END`,
    tablespace: tablespaceOf("o.reltablespace"),
    "clustered on": clusteredOn,
    // pg_dump restores it if it restores the rule after the view. Otherwise the comparison reports the difference.
    "comment of its rule": `(SELECT obj_description(w.oid, 'pg_rewrite') FROM pg_rewrite w WHERE w.ev_class = o.oid AND w.rulename = '_RETURN')`,
  },
  // The options of a materialized view are settings that can change while it exists.
  definition: "concat_ws(' ', pg_get_viewdef(o.oid), CASE o.relkind WHEN 'v' THEN o.reloptions::text END)",
  references: `(SELECT ${storedTree("w.ev_action", "o.oid")} FROM pg_rewrite w WHERE w.ev_class = o.oid AND w.rulename = '_RETURN')`,
});

export const viewRules = restoredRules("view", { ifRefused: "pause" });

export const materializedViewRules = rulesOf("materialized view", {
  created: { action: "after", reason: "No row depends on it." },
  changed: { action: "pause", reason: "It can only be dropped and created again, and other objects may need it." },
  renamed: renamedOrMoved,
  dropped: { action: "keep", reason: "Objects that only the target has may use it." },
});
