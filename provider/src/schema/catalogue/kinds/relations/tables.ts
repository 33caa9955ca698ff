import { rulesOf } from "../../change-rule.js";
import { aRelation, type Kind } from "../../kind.js";

export const tables: Kind = () => ({
  ...aRelation,
  kind: "CASE o.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' ELSE 'foreign table' END",
  where: "o.relkind IN ('r', 'p', 'f')",
});

export const tableRules = rulesOf("table", {
  created: { action: "copy", reason: "The stream has no rows from before the table joined it." },
  dropped: {
    action: "at",
    reason: "The target keeps the table, with its rows, in a schema of its own, until you drop it. See below.",
    ifRefused: "pause",
  },
  renamed: { action: "at", reason: "Later rows have the new name.", ifRefused: "pause" },
  moved: {
    change: "moved to another schema",
    action: "at",
    reason: "Later rows have the new name.",
    ifRefused: "pause",
  },
  replaced: {
    change: "replaced by another table of its name",
    action: "copy",
    reason: "The target has the rows of the former table.",
  },
  rewritten: { change: "rewritten by ALTER TABLE", action: "copy", reason: "The stream does not contain these rows." },
  unpublished: { change: "removed from the publication", action: "copy", reason: "The stream lacks its rows." },
});

export const typedTableRules = rulesOf("typed table", {
  released: { change: "NOT OF", action: "before", reason: "The table keeps its columns." },
  bound: { change: "OF", action: "after", reason: "The table has the columns of the type then." },
});
