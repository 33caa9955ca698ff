import { renamedOrMoved, rulesOf } from "../../change-rule.js";
import { aRelation, type Kind, type KindQuery } from "../../kind.js";

const sequence: KindQuery = {
  ...aRelation,
  kind: "'sequence'",
  where: "o.relkind = 'S'",
  acl: ["o.relacl", "s"],
  settings: {
    "owned by": `(SELECT r.identity || '.' || quote_ident(a.attname)
      FROM pg_depend d JOIN relation r ON r.oid = d.refobjid JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
     WHERE d.classid = 'pg_class'::regclass AND d.objid = o.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))`,
    unlogged: "o.relpersistence = 'u'",
  },
};

/** `options` are in the form of ALTER SEQUENCE. Before 10 they are a row of the sequence, and are not read. */
export const sequences: Kind = (version) =>
  version < 100000
    ? sequence
    : {
        ...sequence,
        from: "relation o JOIN pg_sequence s ON s.seqrelid = o.oid",
        attributes: {
          options: `format('AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s %s', format_type(s.seqtypid, NULL),
            s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END)`,
        },
      };

export const sequenceRules = rulesOf("sequence", {
  created: { action: "before", reason: "New columns may need it." },
  options: {
    change: "options changed",
    action: "after",
    reason: "Rows do not depend on them. Its value is set at the cutover.",
  },
  renamed: renamedOrMoved,
  dropped: { action: "keep", reason: "Objects that only the target has may use it." },
});
