import { notExtensionMember } from "../../../postgres/catalogue-filters.js";
import { type Kind, ofDatabase } from "../kind.js";

/** Includes languages of PostgreSQL and of extensions whose privileges were changed. */
export const languages: Kind = () => ({
  ...ofDatabase("pg_language", "o.lanname"),
  kind: "'language'",
  own: `(o.lanacl IS NOT NULL OR o.oid >= 16384 AND ${notExtensionMember("pg_language", "o.oid")})`,
  owner: "o.lanowner",
  acl: ["o.lanacl", "l"],
  definition: `concat_ws(' ', CASE WHEN o.lanpltrusted THEN 'TRUSTED' END, nullif(o.lanplcallfoid, 0)::regproc, nullif(o.laninline, 0)::regproc,
    nullif(o.lanvalidator, 0)::regproc)`,
});

export const transforms: Kind = () => ({
  ...ofDatabase("pg_transform", "NULL"),
  kind: "'transform'",
  identity:
    "format('FOR %s LANGUAGE %I', format_type(o.trftype, NULL), (SELECT lanname FROM pg_language WHERE oid = o.trflang))",
  definition: "concat_ws(' ', nullif(o.trffromsql, 0)::regprocedure, '/', nullif(o.trftosql, 0)::regprocedure)",
});

export const accessMethods: Kind = (version) =>
  version < 90600
    ? undefined
    : {
        ...ofDatabase("pg_am", "o.amname"),
        kind: "'access method'",
        where: "o.oid >= 16384",
        definition: "concat_ws(' ', o.amtype, o.amhandler)",
      };
