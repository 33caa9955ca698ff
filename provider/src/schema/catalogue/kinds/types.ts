import { inSchema, type Kind } from "../kind.js";

export const types: Kind = () => ({
  ...inSchema("pg_type", "typ"),
  kind: "CASE o.typtype WHEN 'd' THEN 'domain' ELSE 'type' END",
  where: `(o.typtype IN ('b', 'd', 'e', 'r') AND (o.typelem = 0 OR o.typcategory <> 'A')
    OR o.typtype = 'c' AND EXISTS (SELECT FROM pg_class c WHERE c.oid = o.typrelid AND c.relkind = 'c'))`,
  attributes: {
    form: `coalesce(
      (SELECT string_agg(quote_literal(v.enumlabel), ', ' ORDER BY v.enumsortorder) FROM pg_enum v WHERE v.enumtypid = o.oid),
      (SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
         FROM pg_attribute a WHERE a.attrelid = o.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
      CASE WHEN o.typtype = 'd' THEN format_type(o.typbasetype, o.typtypmod) END)`,
  },
  // Other types are altered in place.
  definition: `(SELECT concat_ws(' ', format_type(rngsubtype, NULL), rngcollation, rngsubopc, rngcanonical, rngsubdiff)
    FROM pg_range WHERE rngtypid = o.oid)`,
});
