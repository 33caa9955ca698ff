import { restoredRules } from "../change-rule.js";
import { type Kind, ofDatabase } from "../kind.js";

export const casts: Kind = () => ({
  ...ofDatabase("pg_cast", "NULL"),
  kind: "'cast'",
  // Built-in casts have no schema that identifies them. That of a range to its multirange comes with the types, in some versions only.
  where:
    "o.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_cast'::regclass AND d.objid = o.oid AND d.deptype = 'i')",
  identity: "format('(%s AS %s)', o.castsource::regtype, o.casttarget::regtype)",
  definition: "concat_ws(' ', nullif(o.castfunc, 0)::regprocedure, o.castcontext, o.castmethod)",
  references: "o.castfunc::text",
});

// A cast has no name.
const { renamed: _, ...rules } = restoredRules("cast");
export const castRules = rules;
