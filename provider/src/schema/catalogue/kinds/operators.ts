import { restoredRules } from "../change-rule.js";
import { inSchema, type Kind, rowOf } from "../kind.js";

export const operators: Kind = () => ({
  ...inSchema("pg_operator", "opr"),
  kind: "'operator'",
  identity: "o.oid::regoperator::text",
  definition: rowOf("o", "oprowner"),
});

export const operatorFamilies: Kind = () => {
  const place = inSchema("pg_opfamily", "opf");
  return { ...place, kind: "'operator family'", identity: `${place.identity} || ${usingMethod("opfmethod")}` };
};

export const operatorClasses: Kind = () => {
  const place = inSchema("pg_opclass", "opc");
  return {
    ...place,
    kind: "'operator class'",
    identity: `${place.identity} || ${usingMethod("opcmethod")}`,
    definition: `concat_ws(' ', format_type(o.opcintype, NULL), format_type(nullif(o.opckeytype, 0), NULL), o.opcdefault,
      (SELECT opfnamespace::regnamespace || '.' || opfname FROM pg_opfamily WHERE oid = o.opcfamily), ${members("o.oid")})`,
  };
};

const usingMethod = (method: string): string =>
  `' USING ' || (SELECT quote_ident(amname) FROM pg_am WHERE oid = o.${method})`;

const members = (operatorClass: string): string => `(
  SELECT string_agg(member, ', ' ORDER BY member COLLATE "C")
    FROM pg_depend d
    JOIN (SELECT 'pg_amop'::regclass AS catalogue, oid, format('operator %s %s', amopstrategy, amopopr::regoperator) AS member FROM pg_amop
          UNION ALL
          SELECT 'pg_amproc'::regclass, oid, format('function %s %s', amprocnum, amproc::regprocedure) FROM pg_amproc) AS m
      ON m.catalogue = d.classid AND m.oid = d.objid
   WHERE d.refclassid = 'pg_opclass'::regclass AND d.refobjid = ${operatorClass})`;

export const operatorRules = restoredRules("operator");
export const operatorFamilyRules = restoredRules("operator family");
export const operatorClassRules = restoredRules("operator class");
