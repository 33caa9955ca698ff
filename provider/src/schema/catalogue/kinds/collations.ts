import { restoredRules } from "../change-rule.js";
import { inSchema, type Kind } from "../kind.js";

export const collations: Kind = (version) => ({
  ...inSchema("pg_collation", "coll"),
  kind: "'collation'",
  definition: `concat_ws(' ', ${version >= 100000 ? "o.collprovider" : "'c'"}, nullif(o.collencoding, -1), ${localeOf(version)}, ${version >= 160000 ? "o.collicurules" : "NULL"},
    ${version >= 120000 ? "CASE WHEN NOT o.collisdeterministic THEN 'nondeterministic' END" : "NULL"})`,
});

/** Before 15, pg_collation has the locale of ICU in two columns. */
function localeOf(version: number): string {
  const locale = version >= 170000 ? "o.colllocale" : version >= 150000 ? "o.colliculocale" : "NULL";
  return `coalesce(${locale}, CASE WHEN o.collcollate = o.collctype THEN o.collcollate ELSE concat_ws(' ', o.collcollate, o.collctype) END)`;
}

export const collationRules = restoredRules("collation", { neededBy: "columns" });
