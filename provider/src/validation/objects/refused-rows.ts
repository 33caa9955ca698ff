import { key, type ObjectCheck } from "./object-check.js";

/**
 * The types of hash partition keys, and the types inside them: elements, attributes, bounds, base types of domains. The
 * result type of an expression is in its node tree among the types of its parts; the operator class identifies it.
 */
const hashKeyTypes = `
  WITH RECURSIVE hash_key AS (
    SELECT p.partrelid AS relation, p.partexprs::text AS expressions, k.attribute, o.opcintype::regtype::text AS hashed
      FROM pg_partitioned_table p, unnest(p.partattrs::int2[], p.partclass::oid[]) AS k (attribute, class) JOIN pg_opclass o ON o.oid = k.class
     WHERE p.partstrat = 'h'
  ),
  key_type (relation, type) AS (
    SELECT k.relation, a.atttypid FROM hash_key k JOIN pg_attribute a ON a.attrelid = k.relation AND a.attnum = k.attribute
    UNION
    SELECT k.relation, t.oid FROM hash_key k, regexp_matches(k.expressions, ':\\w*type(?:id)? (\\d+)', 'g') AS m JOIN pg_type t ON t.oid = m[1]::oid
     WHERE k.attribute = 0
       AND CASE k.hashed WHEN 'anyenum' THEN t.typtype = 'e' WHEN 'anyarray' THEN t.typcategory = 'A' WHEN 'record' THEN t.typtype = 'c'
                         WHEN 'anyrange' THEN t.typtype = 'r' WHEN 'anymultirange' THEN t.typtype = 'm' WHEN 'oid' THEN t.typname ~ '^reg' END
    UNION
    SELECT k.relation, i.type FROM key_type k JOIN pg_type t ON t.oid = k.type, LATERAL (
      SELECT unnest(ARRAY[t.typbasetype, t.typelem])
      UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE t.oid IN (r.rngtypid, (to_jsonb(r) ->> 'rngmultitypid')::oid)
    ) AS i (type) WHERE i.type <> 0
  )`;

/** Rows that the target refuses, although the source has them. */
export const refusedRows: readonly ObjectCheck[] = [
  {
    code: "PGM-404",
    state: "Failed",
    rowsOnly: true,
    query: `SELECT format('%s.%I', c.oid::regclass, a.attname) AS name, ${key("pg_class", "c.oid")} FROM pg_inherits h
              JOIN pg_attribute p ON p.attrelid = h.inhparent AND p.attnotnull AND p.attnum > 0
              JOIN pg_attribute a ON a.attrelid = h.inhrelid AND a.attname = p.attname AND NOT a.attnotnull
              JOIN pg_class c ON c.oid = h.inhrelid AND c.relkind IN ('r', 'p', 'f')
             WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = p.attrelid AND k.contype = 'n'
                                  AND k.conkey = ARRAY[p.attnum] AND k.connoinherit)`,
    message: (names) =>
      `these columns may be null, although the inherited columns may not; the target makes them NOT NULL, and refuses rows: ${names}`,
    remedy: "on the source: UPDATE ... WHERE ... IS NULL, then ALTER TABLE ... ALTER ... SET NOT NULL",
  },
  {
    code: "PGM-418",
    rowsOnly: true,
    state: "Failed",
    from: 110000,
    query: `${hashKeyTypes}
            SELECT DISTINCT relation::regclass::text AS name, ${key("pg_class", "relation")} FROM key_type JOIN pg_type t ON t.oid = type
             WHERE t.typtype = 'e' OR t.typtype = 'b' AND t.typnamespace = 'pg_catalog'::regnamespace AND t.typname ~ '^reg' ORDER BY 1`,
    message: (names) =>
      `values that contain object identifiers (of an enum, or regtype, regclass, ...) have another hash on every server, so that rows do not fit the partitions of these tables: ${names}`,
    remedy: "partition them by list, or by the key's text, on the source; or exclude them and copy them with pg_dump",
  },
];
