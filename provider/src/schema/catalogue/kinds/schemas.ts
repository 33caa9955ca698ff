import { rulesOf } from "../change-rule.js";
import { type Kind, ofDatabase } from "../kind.js";

export const schemas: Kind = () => ({
  ...ofDatabase("pg_namespace", "o.name"),
  kind: "'schema'",
  from: "users_schema o",
});

export const schemaRules = rulesOf("schema", {
  created: { action: "before", reason: "New tables and types may be in it." },
  renamed: { action: "at", reason: "Later rows name their tables with the new schema.", ifRefused: "pause" },
  dropped: { action: "keep", reason: "Objects that only the target has may be in it." },
});
