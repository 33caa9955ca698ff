import { rulesOf } from "../change-rule.js";
import { type Kind, ofDatabase } from "../kind.js";
import { privilegesOf } from "../privileges.js";

export const schemas: Kind = () => ({
  ...ofDatabase("pg_namespace", "o.name"),
  kind: "'schema'",
  from: "users_schema o JOIN pg_namespace s ON s.oid = o.oid",
  settings: {
    // The initial owner of this schema is another one from PostgreSQL 15 on.
    owner: `CASE WHEN o.name <> 'public' OR s.nspowner <> 10 AND pg_get_userbyid(s.nspowner) <> 'pg_database_owner' THEN pg_get_userbyid(s.nspowner) END`,
    privileges: privilegesOf(["s.nspacl", "n"], "s.nspowner"),
  },
});

export const schemaRules = rulesOf("schema", {
  created: { action: "before", reason: "New tables and types may be in it." },
  renamed: { action: "at", reason: "Later rows name their tables with the new schema.", ifRefused: "pause" },
  dropped: { action: "keep", reason: "Objects that only the target has may be in it." },
});
