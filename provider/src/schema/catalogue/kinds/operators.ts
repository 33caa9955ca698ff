import { restoredRules } from "../change-rule.js";
import { inSchema, joined, type Kind, nameIn } from "../kind.js";

export const operators: Kind = () => ({
  ...inSchema("pg_operator", "opr"),
  kind: "'operator'",
  identity: "o.oid::regoperator::text",
  definition: `concat_ws(' ', o.oprkind, o.oprcode::regprocedure, nullif(o.oprcom, 0)::regoperator, nullif(o.oprnegate, 0)::regoperator,
    o.oprrest, o.oprjoin, CASE WHEN o.oprcanmerge THEN 'MERGES' END, CASE WHEN o.oprcanhash THEN 'HASHES' END)`,
  // Each of two commutators refers to the other. The one that is replaced sets both.
  references: joined(...["oprcode", "oprrest", "oprjoin"].map((name) => `o.${name}::oid`)),
});

export const operatorFamilies: Kind = () => {
  const place = inSchema("pg_opfamily", "opf");
  return {
    ...place,
    kind: "'operator family'",
    identity: `${place.identity} || ${usingMethod("opfmethod")}`,
    settings: { members: looseMembers("o.oid") },
  };
};

export const operatorClasses: Kind = () => {
  const place = inSchema("pg_opclass", "opc");
  return {
    ...place,
    kind: "'operator class'",
    identity: `${place.identity} || ${usingMethod("opcmethod")}`,
    definition: `concat_ws(' ', format_type(o.opcintype, NULL), format_type(nullif(o.opckeytype, 0), NULL), o.opcdefault,
      (SELECT opfnamespace::regnamespace || '.' || opfname FROM pg_opfamily WHERE oid = o.opcfamily), ${members("o.oid")})`,
    references: joined("o.opcintype", "o.opckeytype", "o.opcfamily", memberOids("o.oid")),
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

const memberOids = (operatorClass: string): string => `(
  SELECT string_agg(coalesce(s.amopopr, p.amproc::oid)::text, ' ' ORDER BY s.amopstrategy, p.amprocnum)
    FROM pg_depend d LEFT JOIN pg_amop s ON d.classid = 'pg_amop'::regclass AND s.oid = d.objid
    LEFT JOIN pg_amproc p ON d.classid = 'pg_amproc'::regclass AND p.oid = d.objid
   WHERE d.refclassid = 'pg_opclass'::regclass AND d.refobjid = ${operatorClass} AND coalesce(s.oid, p.oid) IS NOT NULL)`;

/** What ALTER OPERATOR FAMILY added. Other members come with their classes. */
const looseMembers = (family: string): string => `ARRAY(
  SELECT member
    FROM (SELECT 'pg_amop'::regclass AS catalogue, m.oid, format('OPERATOR %s %s %s', amopstrategy, amopopr::regoperator, ${nameIn("pg_opfamily", "opf", "amopsortfamily")}) AS member
            FROM pg_amop m WHERE amopfamily = ${family}
          UNION ALL
          SELECT 'pg_amproc'::regclass, m.oid, format('FUNCTION %s (%s, %s) %s', amprocnum, format_type(amproclefttype, NULL), format_type(amprocrighttype, NULL), amproc::regprocedure)
            FROM pg_amproc m WHERE amprocfamily = ${family}) AS one
   WHERE EXISTS (SELECT FROM pg_depend d WHERE d.classid = catalogue AND d.objid = one.oid AND d.refclassid = 'pg_opfamily'::regclass)
   ORDER BY member COLLATE "C")`;

export const operatorRules = restoredRules("operator");
export const operatorFamilyRules = restoredRules("operator family");
export const operatorClassRules = restoredRules("operator class");
