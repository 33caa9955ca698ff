import { rulesOf } from "../../change-rule.js";
import { aRelation, type Kind } from "../../kind.js";

const sequence = { ...aRelation, kind: "'sequence'", where: "o.relkind = 'S'" };

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
  dropped: { action: "keep", reason: "Objects that only the target has may use it." },
});
