import { aRelation, type Kind } from "../kind.js";

export const views: Kind = () => ({
  ...aRelation,
  kind: "CASE o.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END",
  where: "o.relkind IN ('v', 'm')",
  // The options of a materialized view are settings that can change while it exists.
  definition: "concat_ws(' ', pg_get_viewdef(o.oid), CASE o.relkind WHEN 'v' THEN o.reloptions::text END)",
});
