import { restoredRules } from "../change-rule.js";
import { inSchema, type Kind, rowOf } from "../kind.js";

export const collations: Kind = () => ({
  ...inSchema("pg_collation", "coll"),
  kind: "'collation'",
  definition: rowOf("o", "collowner", "collversion", "collnamespace"),
});

export const collationRules = restoredRules("collation", { neededBy: "columns" });
