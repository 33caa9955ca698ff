import { storedTree } from "../../../postgres/stored-tree.js";
import { restoredRules, rulesOf } from "../change-rule.js";
import { inSchema, joined, type Kind, nameIn } from "../kind.js";

export interface TypeDetails {
  /** The output of format_type. */
  readonly printed: string;
  readonly notNull: boolean;
  readonly default: string | null;
  /** A digest of the objects that the default refers to. */
  readonly defaultReferences: string | null;
  /** Labels of an enum, in their order. */
  readonly labels: readonly { readonly oid: number; readonly label: string }[];
  /** Attributes of a composite type. The index is the attribute number minus one; dropped attributes are null. */
  readonly attributes: readonly ({ readonly name: string; readonly type: string } | null)[];
  /** Whether there are tables OF this type. Its attributes are their columns. */
  readonly hasTables: boolean;
}

export const types: Kind<TypeDetails> = (version) => ({
  ...inSchema("pg_type", "typ"),
  kind: "CASE o.typtype WHEN 'd' THEN 'domain' ELSE 'type' END",
  where: `(o.typtype IN ('b', 'd', 'e', 'p', 'r') AND (o.typelem = 0 OR o.typcategory <> 'A')
    OR o.typtype = 'c' AND EXISTS (SELECT FROM pg_class c WHERE c.oid = o.typrelid AND c.relkind = 'c'))`,
  attributes: {
    form: `coalesce(
      (SELECT string_agg(quote_literal(v.enumlabel), ', ' ORDER BY v.enumsortorder) FROM pg_enum v WHERE v.enumtypid = o.oid),
      (SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
         FROM pg_attribute a WHERE a.attrelid = o.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
      CASE WHEN o.typtype = 'd' THEN format_type(o.typbasetype, o.typtypmod) END)`,
  },
  acl: ["o.typacl", "T"],
  settings: {
    default: "pg_get_expr(o.typdefaultbin, 0)",
    "not null": "o.typnotnull",
    collation: `CASE WHEN o.typtype = 'd' AND o.typcollation <> (SELECT b.typcollation FROM pg_type b WHERE b.oid = o.typbasetype) THEN ${nameIn("pg_collation", "coll", "o.typcollation")} END`,
    // Of the attributes of a composite type.
    collations: `ARRAY(
      SELECT quote_ident(a.attname) || ' ' || ${nameIn("pg_collation", "coll", "a.attcollation")}
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
       WHERE a.attrelid = o.typrelid AND a.attnum > 0 AND NOT a.attisdropped AND a.attcollation <> t.typcollation ORDER BY a.attnum)`,
    "attribute comments": `ARRAY(
      SELECT quote_ident(a.attname) || ' ' || d.description
        FROM pg_attribute a JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = a.attrelid AND d.objsubid = a.attnum
       WHERE a.attrelid = o.typrelid AND NOT a.attisdropped ORDER BY a.attnum)`,
    // Of a base type.
    functions: `CASE WHEN o.typtype = 'b' AND o.typelem = 0 THEN concat_ws(' ', o.typinput, o.typoutput, o.typreceive, o.typsend, o.typmodin, o.typmodout, o.typanalyze,
      o.typlen, o.typbyval, o.typcategory, o.typispreferred, o.typdelim, o.typalign, o.typstorage, o.typcollation <> 0, o.typdefault) END`,
    ...(version >= 140000
      ? { multirange: "(SELECT format_type(r.rngmultitypid, NULL) FROM pg_range r WHERE r.rngtypid = o.oid)" }
      : {}),
  },
  details: {
    printed: "format_type(o.oid, NULL)",
    notNull: "o.typnotnull",
    default: "pg_get_expr(o.typdefaultbin, 0)",
    defaultReferences: `left(md5(${storedTree("o.typdefaultbin")}), 8)`,
    labels: `(SELECT coalesce(json_agg(json_build_object('oid', v.oid::int8, 'label', v.enumlabel) ORDER BY v.enumsortorder), '[]')
      FROM pg_enum v WHERE v.enumtypid = o.oid)`,
    attributes: `(SELECT coalesce(json_agg(CASE WHEN NOT a.attisdropped
        THEN json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)) END ORDER BY a.attnum), '[]')
      FROM pg_attribute a WHERE a.attrelid = o.typrelid AND a.attnum > 0)`,
    // No index has reloftype, so that one list serves all types.
    hasTables: "o.oid IN (SELECT c.reloftype FROM pg_class c)",
  },
  // Other types are altered in place.
  definition: `(SELECT concat_ws(' ', format_type(rngsubtype, NULL), ${nameIn("pg_collation", "coll", "rngcollation")}, ${nameIn("pg_opclass", "opc", "rngsubopc")}, rngcanonical, rngsubdiff)
    FROM pg_range WHERE rngtypid = o.oid)`,
  references: `(SELECT ${joined("rngsubtype", "rngcollation", "rngsubopc", "rngcanonical::oid", "rngsubdiff::oid")} FROM pg_range WHERE rngtypid = o.oid)`,
});

/** Of base types and ranges. Others are altered in place. */
export const typeRules = {
  ...restoredRules("type", { neededBy: "columns" }),
  ...rulesOf("type", {
    renamed: { change: "renamed or moved", action: "before", reason: "The stream does not name types." },
  }),
};

export const domainRules = rulesOf("domain", {
  created: { action: "before", reason: "New columns may need it." },
  renamed: { change: "renamed or moved", action: "before", reason: "The stream does not name types." },
  nullable: { change: "DROP NOT NULL", action: "before", reason: "Earlier rows are accepted." },
  notNull: { change: "SET NOT NULL", action: "after", reason: "Earlier rows may violate it." },
  default: { change: "default changed", action: "after", reason: "The stream contains the values." },
  dropped: { action: "keep", reason: "Objects that only the target has may use it." },
});

export const labelRules = rulesOf("enum label", {
  added: { action: "before", reason: "Earlier rows do not have it." },
  renamed: { action: "at", reason: "Later rows have the new label.", ifRefused: "pause" },
});

export const attributeRules = rulesOf("attribute of a composite type", {
  added: { action: "at", reason: "Later rows have one more value.", ifRefused: "pause" },
  dropped: { action: "pause", reason: "The target would lose the values." },
  retyped: {
    change: "changed to another type",
    action: "at",
    reason: "Later rows may have other values.",
    ifRefused: "pause",
  },
  retypedByUsers: {
    change: "changed to another type, if tables are OF the type, with a cast that calls a user's function",
    action: "pause",
    reason: "The function would run with the migration's role.",
  },
  renamed: { action: "before", reason: "The stream does not name attributes." },
  renamedColumn: {
    change: "renamed, and tables are OF the type",
    action: "at",
    reason: "The stream names the columns of these tables.",
    ifRefused: "pause",
  },
});
