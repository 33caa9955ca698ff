import { storedTree } from "../../../../postgres/stored-tree.js";
import { restoredRules } from "../../change-rule.js";
import { inSchema, joined, type Kind } from "../../kind.js";

export const statistics: Kind = (version) => {
  if (version < 100000) return undefined;
  const place = inSchema("pg_statistic_ext", "stx");
  return {
    ...place,
    kind: "'statistics'",
    from: `${place.from} JOIN relation r ON r.oid = o.stxrelid`,
    // From 17 on, NULL is the default.
    ...(version >= 130000 ? { settings: { target: "nullif(o.stxstattarget, -1)::text" } } : {}),
    definition: "pg_get_statisticsobjdef(o.oid)",
    references: joined("o.stxrelid", "o.stxkeys", version >= 140000 ? storedTree("o.stxexprs") : "NULL"),
  };
};

export const statisticsRules = restoredRules("statistics");
