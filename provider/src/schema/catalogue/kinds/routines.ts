import { restoredRules } from "../change-rule.js";
import { inSchema, type Kind } from "../kind.js";

export const routines: Kind = (version) => {
  const place = inSchema("pg_proc", "pro");
  const isAggregate = version >= 110000 ? "o.prokind = 'a'" : "o.proisagg";
  const isProcedure = version >= 110000 ? "o.prokind = 'p'" : "false";
  return {
    ...place,
    kind: `CASE WHEN ${isAggregate} THEN 'aggregate' WHEN ${isProcedure} THEN 'procedure' ELSE 'function' END`,
    // The constructors of ranges and multiranges come with the type, in some versions only.
    where:
      "NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = o.oid AND d.deptype = 'i')",
    identity: `${place.identity} || '(' || pg_get_function_identity_arguments(o.oid) || ')'`,
    definition: `CASE WHEN ${isAggregate} THEN (SELECT a::text FROM pg_aggregate a WHERE a.aggfnoid = o.oid) ELSE pg_get_functiondef(o.oid) END`,
  };
};

export const functionRules = restoredRules("function", { neededBy: "columns", ifRefused: "pause" });
export const procedureRules = restoredRules("procedure", { ifRefused: "pause" });
export const aggregateRules = restoredRules("aggregate", { ifRefused: "pause" });
