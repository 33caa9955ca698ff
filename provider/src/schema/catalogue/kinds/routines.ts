import { storedTree } from "../../../postgres/stored-tree.js";
import { restoredRules } from "../change-rule.js";
import { inSchema, joined, type Kind } from "../kind.js";

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
    identity: `${place.identity} || '(' || ${withoutIn("pg_get_function_identity_arguments(o.oid)")} || ')'`,
    acl: ["o.proacl", "f"],
    // The target's functions get it at the handover.
    settings: { "security definer": "o.prosecdef" },
    definition: `CASE WHEN ${isAggregate} THEN ${aggregateDefinition(version)} WHEN ${isProcedure} THEN ${procedureDefinition} ELSE ${printed} END`,
    references: joined(
      ...["o.prorettype", "o.proallargtypes::text", storedTree("o.proargdefaults")],
      version >= 140000 ? storedTree("o.prosqlbody") : "NULL",
      `CASE WHEN ${isAggregate} THEN ${aggregateReferences(version)} END`,
    ),
  };
};

/** Versions from 14 on print IN before arguments of procedures. The word is never a name, because names like it are quoted. */
const withoutIn = (argumentList: string): string => `regexp_replace(${argumentList}, '(^|, )IN ', '\\1', 'g')`;

/**
 * The options follow the language, in one line if there are any. SECURITY DEFINER may be the only one. Defaults of arguments before
 * them, and the body behind them, may contain the same words.
 */
const definer =
  "(\\n LANGUAGE [^\\n]+)(?:\\n SECURITY DEFINER(?=\\n)|(\\n(?! SECURITY DEFINER\\n)[A-Z ]*) SECURITY DEFINER)";

const printed = `CASE WHEN o.prosecdef THEN regexp_replace(pg_get_functiondef(o.oid), '${definer}', '\\1\\2') ELSE pg_get_functiondef(o.oid) END`;

const procedureDefinition = `(
    SELECT left(printed, start) || ${withoutIn("arguments")} || substr(printed, start + length(arguments) + 1)
      FROM (SELECT ${printed} AS printed, pg_get_function_arguments(o.oid) AS arguments) AS one,
           strpos(printed, '(' || arguments || ')') AS start)`;

const aggregateFunctions = (version: number): readonly string[] => [
  ...["aggtransfn", "aggfinalfn", "aggmtransfn", "aggminvtransfn", "aggmfinalfn"],
  ...(version >= 90600 ? ["aggcombinefn", "aggserialfn", "aggdeserialfn"] : []),
];

const aggregateReferences = (version: number): string => {
  const functions = aggregateFunctions(version).map((column) => `a.${column}::oid`);
  return `(SELECT ${joined("a.aggtranstype", "a.aggmtranstype", "a.aggsortop", ...functions)} FROM pg_aggregate a WHERE a.aggfnoid = o.oid)`;
};

const aggregateDefinition = (version: number): string => {
  // Before 11, the defaults.
  const isDefault = "CASE a.aggkind WHEN 'n' THEN 'r' ELSE 's' END";
  const modifying =
    version >= 110000 ? `nullif(a.aggfinalmodify, ${isDefault}), nullif(a.aggmfinalmodify, ${isDefault})` : "NULL";
  const others = ["aggkind", "aggnumdirectargs", "aggfinalextra", "aggmfinalextra", "aggtransspace", "aggmtransspace"];
  const parallel = version >= 90600 ? "o.proparallel" : "NULL";
  return `(
    SELECT concat_ws(' ', format_type(a.aggtranstype, NULL), a.agginitval, '/', format_type(nullif(a.aggmtranstype, 0), NULL), a.aggminitval, '/',
           nullif(a.aggsortop, 0)::regoperator, ${parallel}, ${modifying}, ${[...aggregateFunctions(version), ...others].map((column) => `a.${column}`).join(", ")})
      FROM pg_aggregate a WHERE a.aggfnoid = o.oid)`;
};

export const functionRules = restoredRules("function", { neededBy: "columns", ifRefused: "pause" });
export const procedureRules = restoredRules("procedure", { ifRefused: "pause" });
export const aggregateRules = restoredRules("aggregate", { ifRefused: "pause" });
