import { restoredRules } from "../change-rule.js";
import { type Kind, ofDatabase, rowOf } from "../kind.js";

export const casts: Kind = () => ({
  ...ofDatabase("pg_cast", "NULL"),
  kind: "'cast'",
  // Built-in casts have no schema that identifies them.
  where: "o.oid >= 16384",
  identity: "format('(%s AS %s)', o.castsource::regtype, o.casttarget::regtype)",
  definition: rowOf("o"),
});

export const castRules = restoredRules("cast");
